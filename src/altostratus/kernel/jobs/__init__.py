# SPDX-License-Identifier: Apache-2.0
"""Jobs: declared lists of steps with undo, stored with the change that demands them.

Each ends done, undone, or loudly stuck, whatever process dies when. Kinds of steps: `local` (in the
transaction that moves the cursor), `desire` (wanted rows; the job sleeps until hosts have made them true),
`remote` (foreign engines; idempotent under `step.key`).
"""

from altostratus.kernel.desired import Want
from altostratus.kernel.jobs.declare import Act, Job, JobFailed, Step, StepCall, desire, local, remote
from altostratus.kernel.jobs.engine import Jobs
from altostratus.kernel.jobs.records import ActiveJob

__all__ = ["Act", "ActiveJob", "Job", "JobFailed", "Jobs", "Step", "StepCall", "Want", "desire", "local", "remote"]
