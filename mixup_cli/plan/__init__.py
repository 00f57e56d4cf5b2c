"""The plan: which source is blended with which, by how much, and in which shard.

All randomness of a run ends here. A plan is a table with a row for each output; whoever renders a
row needs the row and its two files, no generator and no state.
"""

from mixup_cli.plan.model import COLUMNS, SHARD_ROWS, Plan, numbered
from mixup_cli.plan.pairing import LABEL_POLICIES, PAIRS, PlanOptions, make_plan
from mixup_cli.plan.table import LABEL_LAM, csv_rows, header, read_plan

__all__ = [
    "COLUMNS", "LABEL_LAM", "LABEL_POLICIES", "PAIRS", "SHARD_ROWS", "Plan", "PlanOptions",
    "csv_rows", "header", "make_plan", "numbered", "read_plan",
]
