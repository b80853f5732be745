# SPDX-License-Identifier: Apache-2.0
"""Jobs: declared lists of steps with undo, which end done, undone, or loudly stuck."""

from altostratus.kernel.desired import Want
from altostratus.kernel.jobs.declare import Job, JobFailed, Step, StepCall, desire, local, remote
from altostratus.kernel.jobs.engine import ActiveJob, Jobs

__all__ = ["ActiveJob", "Job", "JobFailed", "Jobs", "Step", "StepCall", "Want", "desire", "local", "remote"]
