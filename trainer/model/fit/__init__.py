"""Will it fit? The memory that a run needs, from config.json and the run's settings alone; torch is never waited for.

`fit` answers, `lines` and `facts` say it to people and to programs. sizes (shape, layout, model) -> what is held and
trained (choice) -> what is computed (activations, seeing), remembered (optimizer), shared (engine) -> need (estimate).
"""

from trainer.model.fit.fit import Fit, fit, this_machine
from trainer.model.fit.said import facts, gigabytes, lines, warning

__all__ = ["Fit", "facts", "fit", "gigabytes", "lines", "this_machine", "warning"]
