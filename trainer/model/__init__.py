"""Models: their names, how they are fetched, loaded, and given adapters."""

import logging

# bitsandbytes says on each import, and for each layer and step, how it could be quicker; PEFT imports it whether or not
# anything is held in few bits.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
