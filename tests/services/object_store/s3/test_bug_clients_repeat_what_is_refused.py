# SPDX-License-Identifier: Apache-2.0
"""s3cmd asked again for 45 seconds where an object was to have an access list: to it 501 is a server's failure.

Amazon has a code for buckets whose objects have no lists.
"""

import pytest
from botocore.exceptions import ClientError


def test_an_access_list_of_an_object(s3):
    s3.create_bucket(Bucket="shop")
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket="shop", Key="k", Body=b"x", ACL="public-read")
    answer = raised.value.response
    assert answer["Error"]["Code"] == "AccessControlListNotSupported"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_settings_that_no_bucket_has_are_shown_as_unset(s3):
    """Tools ask for all settings of a bucket before they change one."""
    s3.create_bucket(Bucket="shop")
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket="shop")
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket="shop")
    with pytest.raises(ClientError, match="OwnershipControlsNotFoundError"):
        s3.get_bucket_ownership_controls(Bucket="shop")
