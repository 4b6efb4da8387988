"""The engine of TuneBoard: options, data, training, chat. It never imports a web framework."""

import logging

__version__ = "0.1.0"

# bitsandbytes says on each import, and for each layer and step, how it could be quicker; PEFT imports it whether or not
# anything is held in few bits.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
