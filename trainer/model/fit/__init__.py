"""Will it fit? The memory that a run needs, from config.json and the run's settings alone; torch is never waited for.

`fit` answers, `lines` and `facts` say it to people and to programs. sizes (shape, layout, model) -> what is held and
trained (choice) -> what is computed (activations, seeing), remembered (optimizer), shared (engine) -> need (estimate).
"""

from trainer.model.fit.said import facts, gigabytes, lines, warning
from trainer.model.fit.weighing import Fit, fit, this_machine

__all__ = ["Fit", "facts", "fit", "gigabytes", "lines", "this_machine", "warning"]
