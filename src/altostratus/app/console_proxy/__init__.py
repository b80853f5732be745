# SPDX-License-Identifier: Apache-2.0
"""The console proxy: a process of its own that carries VNC and serial consoles to browsers.

It has no privileges and no database: a token is checked by asking the control process, and the only
thing it may open is the console socket that the answer names.
"""
