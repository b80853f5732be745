# SPDX-License-Identifier: Apache-2.0
"""Users and groups of a domain that come from a directory (LDAP) instead of our own tables.

The directory is asked when somebody logs in, looks or changes something there, and every `directory_refresh_s` for
whoever has a valid token; what it says is kept in our tables (`logic/mirror.py`), where everything else finds it. So no
directory is asked inside a transaction, and none while a token is validated.
"""
