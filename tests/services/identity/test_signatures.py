# SPDX-License-Identifier: Apache-2.0
"""Whatever somebody sends as a signature, it is refused: no answer is a failure of ours, and none is a yes."""

import string
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from altostratus.kernel.errors import BadRequest
from altostratus.services.identity.tokens import aws_signature
from altostratus.services.identity.tokens import oauth_signature as signature
from altostratus.services.identity.tokens.attempt import HttpRequest
from altostratus.services.identity.tokens.aws_signature import SignatureError

words = st.one_of(st.text(max_size=20), st.sampled_from(["", "2026-01-31T12:00:00Z", "AWS4-HMAC-SHA256", "a/b/c/d/e"]))
params = st.dictionaries(
    st.one_of(words, st.sampled_from(["SignatureVersion", "Timestamp", "X-Amz-Algorithm", "X-Amz-Credential"])),
    st.one_of(words, st.integers(), st.booleans(), st.sampled_from(["0", "1", "2", "AWS4-HMAC-SHA256"])),
)
headers = st.dictionaries(
    st.one_of(words, st.sampled_from(["Host", "Authorization", "X-Amz-Date", "User-Agent"])),
    st.one_of(
        words,
        st.sampled_from(
            [
                "Boto/2.1.0",
                "20260131T120000Z",
                "AWS4-HMAC-SHA256 Credential=a/20260131/c/d/e, SignedHeaders=host;;x, Signature=",
            ]
        ),
    ),
)
requests = st.fixed_dictionaries(
    {"signature": words},
    optional={
        "params": params, "headers": headers, "host": st.one_of(words, st.sampled_from(["h:1", "[::1", "h:p"])),
        "verb": words, "path": words, "body_hash": words,
    },
)  # fmt: skip


@given(requests)
def test_ec2(request):
    with suppress(SignatureError):
        assert aws_signature.is_timely(request, 900) in (True, False)
    with suppress(SignatureError):
        assert not aws_signature.is_ec2_signed("secret", request)


@given(words, words)
def test_s3(token, given_signature):
    with suppress(SignatureError):
        assert not aws_signature.is_s3_signed("secret", {"token": token, "signature": given_signature})


pairs = st.lists(
    st.tuples(
        st.one_of(words, st.sampled_from(["oauth_nonce", "oauth_timestamp", "oauth_signature", "oauth_version"])),
        st.text(string.printable, max_size=10),
    ),
    max_size=6,
)


@given(pairs, st.sampled_from(["h", "h:80", "[", "h:x", "", "ü"]), st.text(string.printable, max_size=20))
def test_oauth(given_pairs, host, query):
    stated = ", ".join(f'{name}="{value}"' for name, value in given_pairs)
    complete = 'oauth_signature_method="HMAC-SHA1", oauth_timestamp="1", oauth_nonce="n", oauth_signature="s"'
    for header in (f"OAuth {stated}", f"OAuth {complete}, {stated}", stated):
        request = HttpRequest("POST", f"http://{host}/v3?{query}", {"AUTHORIZATION": header})
        with suppress(BadRequest):
            signature.read_parameters(request, "oauth_consumer_key")
        given_signature = {"oauth_signature_method": "HMAC-SHA1", "oauth_signature": "s"}
        assert not signature.is_signed(request, given_signature, ["secret"], ["https://cloud"])
