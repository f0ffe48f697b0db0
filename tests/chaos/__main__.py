"""Every promise under every fault: `python run.py chaos [SCENARIO ...] [--short] [--hours H]`.

Pairscope runs in a process of its own against the fake exchange. The table is printed, and written with the machine
it was made on to var/chaos.json; the exit status is 1 if anything does not hold.
"""

import sys
from collections.abc import Sequence

from tests.chaos import complete, kills, limits, silence, storage, sustained
from tests.proofs import Proof, Scenario

SCENARIOS: dict[str, Scenario] = {
    "complete": complete.complete,
    "refused": complete.refused,
    "kills": kills.kills,
    "silence": silence.silence,
    "limits": limits.limits,
    "sustained": sustained.sustained,
    "storage": storage.storage,
    "files": storage.files,
}
PROOF = Proof("chaos", "Every promise under every fault.", SCENARIOS)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = PROOF.parser()
    parser.add_argument("--hours", type=float, default=0.0, help="length of the sustained load, in place of 25 minutes")
    return PROOF.main(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
