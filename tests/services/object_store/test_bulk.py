# SPDX-License-Identifier: Apache-2.0
"""Many at once, and quotas."""

import io
import tarfile

import pytest

pytestmark = pytest.mark.usefixtures("nothing_left")


def archive(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2"])
def test_unpacking(swift, kind):
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2"}[kind]
    data = archive({"c/one.txt": b"1", "c/d/two": b"22", "new/three": b"333"}, mode)
    answer = swift("PUT", f"?extract-archive={kind}&format=json", data)
    assert answer.json["Number Files Created"] == 3 and answer.json["Response Status"] == "200 OK"
    assert swift.names("c") == ["d/two", "one.txt"] and swift("GET", "new/three").content == b"333"
    assert swift("HEAD", "c/one.txt").headers["content-type"] == "text/plain"


def test_unpacking_below_a_path_stays_there(swift):
    swift.put("c")
    data = archive({"../../other/a": b"1", "/etc/b": b"2", "./x": b"3"})
    assert b"Number Files Created: 3" in swift("PUT", "c/in/here?extract-archive=tar", data).content
    assert swift.names("c") == ["in/here/etc/b", "in/here/other/a", "in/here/x"]
    assert swift.names("") == ["c"]


def test_archives_that_are_none(swift, stranger):
    assert swift("PUT", "?extract-archive=tar", b"not an archive" * 100).status == 400
    assert swift("PUT", "?extract-archive=zip", b"x").status == 400
    whole = archive({"c/one": b"1" * 5000, "c/two": b"2" * 5000})
    assert swift("PUT", "?extract-archive=tar", whole[:9000]).status == 400
    refused = stranger("PUT", "?extract-archive=tar&format=json", archive({"c/one": b"1"}))
    assert refused.json["Number Files Created"] == 0 and refused.json["Errors"][0][1].startswith("403")


def test_a_hundred_deletes_share_a_transaction(swift, cloud, monkeypatch):
    swift.put("c")
    for number in range(120):
        swift.put(f"c/{number}")
    commits, write = [], cloud.cloud.db.write

    def counted():
        commits.append(1)
        return write()

    monkeypatch.setattr(cloud.cloud.db, "write", counted)
    paths = [f"/c/{number}" for number in range(120)] + ["/c"]
    answer = swift("POST", "?bulk-delete", "\n".join(paths), Accept="application/json")
    assert (answer.json["Number Deleted"], len(commits)) == (121, 2)
    assert swift("HEAD", "c").status == 404


def test_deleting_many(swift, stranger):
    swift.put("c")
    for name in ("a", "b%20b", "d/e"):
        swift.put(f"c/{name}", b"x")
    answer = swift("POST", "?bulk-delete", "/c/a\nc/b%20b\n\n/c/none\n/c\n", Accept="application/json")
    assert answer.json["Number Deleted"] == 2 and answer.json["Number Not Found"] == 1
    assert answer.json["Errors"] == [["/c", "409 Conflict"]]
    assert answer.json["Response Status"] == "400 Bad Request"
    refused = stranger("DELETE", "?bulk-delete", "/c/d/e", Accept="application/json")
    assert refused.json["Number Deleted"] == 0 and swift.names("c") == ["d/e"]
    assert swift("DELETE", "?bulk-delete", "/c/d/e\n/c", Accept="application/json").json["Number Deleted"] == 2
    assert swift("DELETE", "?bulk-delete", "x" * 5000).status == 400


def test_quotas_of_a_container(swift):
    swift.put("c", X_Container_Meta_Quota_Bytes="10", X_Container_Meta_Quota_Count="2")
    swift.put("c/a", b"12345")
    refused = swift("PUT", "c/b", b"123456")
    assert refused.status == 413 and b"10 bytes" in refused.content
    swift.put("c/a", b"1234567890")
    assert swift("PUT", "c/a", b"12345678901").status == 413
    swift.put("c/b", b"")
    refused = swift("PUT", "c/d", b"")
    assert refused.status == 413
    swift("POST", "c", X_Remove_Container_Meta_Quota_Bytes="x", X_Container_Meta_Quota_Count="")
    swift.put("c/d", b"1234567890")
    assert swift("POST", "c", X_Container_Meta_Quota_Bytes="many").status == 400


def test_the_quota_of_an_account_is_not_the_owners_to_change(swift):
    assert swift("POST", "", X_Account_Meta_Quota_Bytes="10").status == 403


def test_a_large_upload_is_refused_before_it_comes(swift, store):
    swift.put("c", X_Container_Meta_Quota_Bytes="10")
    store.fail_next = True  # nothing may reach the store
    assert swift("PUT", "c/o", b"x" * (1 << 20)).status == 413
    assert store.fail_next
