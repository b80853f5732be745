# SPDX-License-Identifier: Apache-2.0
"""Users that others vouch for: mapping rules, OpenID Connect, single sign-on in browsers."""
