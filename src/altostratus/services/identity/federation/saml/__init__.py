# SPDX-License-Identifier: Apache-2.0
"""SAML 2 between clouds: our word for our users, and other clouds' word for theirs (keystone to keystone, ECP).

`lxml` and `signxml` come with these modules: they are imported when the first call of SAML arrives.
"""
