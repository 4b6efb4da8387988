"""The engine of TuneBoard: options, data, training, chat. It never imports a web framework."""

__version__ = "0.1.0"
