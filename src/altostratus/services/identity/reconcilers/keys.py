# SPDX-License-Identifier: Apache-2.0
"""Keeps keys as they should be: stored secrets sealed with the newest, those that are of no use any more dropped."""

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic import sealed
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator

_MARGIN_S = 60.0


def keep_up(cloud: Cloud) -> None:
    """A key of tokens goes when the last token that it could have made may not even be looked at any more."""
    authenticator, options = cloud.part(TokenAuthenticator), cloud[IdentityOptions]
    longest_s = options.token_lifetime_s + options.expired_window_s + _MARGIN_S
    for folder in (authenticator.keys.folder, authenticator.signing_keys.folder):
        folder.drop_replaced(longest_s)
    sealed.keep_up(cloud)


KEEP_KEYS = Reconciler("identity.keys", every_s=5, run=keep_up, wake_topic=sealed.TOPIC)
