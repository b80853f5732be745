# SPDX-License-Identifier: Apache-2.0
"""Forgets what of OAuth 1 has expired."""

from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.logic.oauth1 import prune

PRUNE_OAUTH = Reconciler("identity.prune_oauth", every_s=3600, run=prune)
