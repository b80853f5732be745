# SPDX-License-Identifier: Apache-2.0
"""Policies of a bucket called open."""

import json

BUCKET, OBJECTS = "arn:aws:s3:::open", "arn:aws:s3:::open/*"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect="Allow", principal="*", action="s3:GetObject", resource=OBJECTS, **more):
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **more}
