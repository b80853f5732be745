# SPDX-License-Identifier: Apache-2.0
"""Uploads by forms: what is signed, and every way in which a form can be wrong."""

import hmac

import pytest

from altostratus.kernel import clock

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = "form key"
NO_FILE: dict[str, str] = {}


@pytest.fixture(autouse=True)
def filled(swift):
    swift.put("c")
    swift("POST", "", X_Account_Meta_Temp_URL_Key=KEY)


def form(swift, path="c/p-", files=None, *, key=KEY, digest="sha256", root="/object-store", seconds=60, **changed):
    """(body, content type); `changed` fields are changed after the signature was made, `signed_...` before."""
    fields = {
        "redirect": changed.pop("signed_redirect", ""),
        "max_file_size": changed.pop("signed_size", "100"),
        "max_file_count": "2",
        "expires": str(int(clock.unix()) + seconds),
    }
    place = root + swift.base.removeprefix("/object-store") + "/" + path
    text = "\n".join((place, *fields.values()))
    fields["signature"] = hmac.new(key.encode(), text.encode(), digest).hexdigest()
    lines = []
    for name, value in {**fields, **changed}.items():
        lines += ["--XX", f'Content-Disposition: form-data; name="{name}"', "", value]
    for name, value in ({"f.txt": "hello"} if files is None else files).items():
        lines += ["--XX", f'Content-Disposition: form-data; name="file"; filename="{name}"']
        lines += ["Content-Type: text/plain", "", value]
    return "\r\n".join([*lines, "--XX--", ""]).encode()


def post(anybody, body, path="c/p-"):
    return anybody("POST", path, body, Content_Type="multipart/form-data; boundary=XX")


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("root", ["", "/object-store"])
def test_files_become_objects(swift, anybody, digest, root):
    body = form(swift, files={"a.txt": "one", "ü/b": "two\r\n--X"}, digest=digest, root=root)
    assert post(anybody, body).status == 201
    assert swift.names("c") == ["p-a.txt", "p-ü/b"]
    assert swift("GET", "c/p-a.txt").content == b"one" and swift("GET", "c/p-%C3%BC/b").content == b"two\r\n--X"
    assert swift("HEAD", "c/p-a.txt").headers["content-type"] == "text/plain"


@pytest.mark.parametrize("path", ["c", "c/"])
def test_into_the_container(swift, anybody, path):
    assert post(anybody, form(swift, path), path).status == 201
    assert swift.names("c") == ["f.txt"]


def test_expiry_and_encoding(swift, anybody):
    assert post(anybody, form(swift, x_delete_after="100", **{"content-encoding": "gzip"})).status == 201
    got = swift("HEAD", "c/p-f.txt").headers
    assert int(got["x-delete-at"]) >= clock.unix() + 90 and got["content-encoding"] == "gzip"
    assert post(anybody, form(swift, x_delete_at="soon")).status == 400


def test_a_containers_key(swift, anybody):
    swift("POST", "c", X_Container_Meta_Temp_URL_Key="mine")
    assert post(anybody, form(swift, key="mine")).status == 201
    swift.put("d")
    assert post(anybody, form(swift, "d/", key="mine"), "d/").status == 401


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"seconds": -1}, 401, "Form Expired"),
        ({"key": "wrong"}, 401, "Invalid Signature"),
        ({"digest": "md5"}, 401, "Invalid Signature"),
        ({"signature": "x"}, 401, "Invalid Signature"),
        ({"redirect": "https://evil.example"}, 401, "Invalid Signature"),
        ({"max_file_size": "1000"}, 401, "Invalid Signature"),
        ({"max_file_count": "1000"}, 401, "Invalid Signature"),
        ({"expires": "soon"}, 400, "expires not an integer"),
        ({"path": "c/q-"}, 401, "Invalid Signature"),
        ({"files": {"a": "x" * 101}}, 400, "max_file_size exceeded"),
        ({"files": {}}, 400, "no files to process"),
        ({"files": {}, "signed_redirect": "https://evil.example"}, 400, "no files to process"),
    ],
)
def test_what_is_wrong(swift, anybody, changes, status, text):
    answer = post(anybody, form(swift, **changes))
    assert answer.status == status and text in answer.text
    assert swift.names("c") == []


def test_too_many_files(swift, anybody):
    answer = post(anybody, form(swift, files=dict.fromkeys("abc", "1")))
    assert answer.status == 400 and "max file count exceeded" in answer.text
    assert swift.names("c") == ["p-a", "p-b"]


@pytest.mark.parametrize("lost", [2, 8, 9, 12, 15])
def test_a_form_that_breaks_off_leaves_no_half_file(swift, anybody, lost):
    body = form(swift)
    answer = post(anybody, body[:-lost])
    assert answer.status in (400, 499) or swift("GET", "c/p-f.txt").content == b"hello"
    assert lost < 8 or answer.status != 201


@pytest.mark.parametrize("body", [b"", b"--XX", b"--XX\r\n", b"nonsense", b"--XX\r\nA: " + b"x" * 10_000])
def test_nonsense(anybody, body):
    assert post(anybody, body).status == 400


def test_no_such_container(swift, anybody):
    assert post(anybody, form(swift, "none/"), "none/").status == 400


def test_back_to_the_page(swift, anybody):
    answer = post(anybody, form(swift, signed_redirect="https://page.example/?a=b"))
    assert answer.status == 303
    assert answer.headers["location"] == "https://page.example/?a=b&status=201&message="
    answer = post(anybody, form(swift, signed_redirect="https://page.example/", files={"a": "x" * 101}))
    assert answer.headers["location"] == "https://page.example/?status=400&message=max_file_size+exceeded"


def test_told_in_info(cloud):
    assert cloud.client(None).get("/info").json["formpost"]["allowed_digests"] == ["sha1", "sha256", "sha512"]
