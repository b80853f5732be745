# SPDX-License-Identifier: Apache-2.0
"""Swift's newer versioning: `X-Versions-Enabled`, `?version-id=`, `?versions`."""

import hmac

import pytest

from altostratus.kernel import clock
from altostratus.services.object_store.logic import listing
from altostratus.services.object_store.reconcilers.expiry import delete_expired

pytestmark = pytest.mark.usefixtures("nothing_left")
MARKER = "application/x-deleted;swift_versions_deleted=1"


@pytest.fixture
def kept(swift):
    swift.put("c", X_Versions_Enabled="true")
    return swift


def put(swift, data, path="c/o", **headers):
    return swift.put(path, data, **headers).headers.get("x-object-version-id")


def listed(swift, query="", container="c"):
    """[(name, version's id or "", is it the latest?)]"""
    answer = swift("GET", f"{container}?versions&format=json{query}")
    assert answer.status == 200, answer.text
    return [(item.get("name") or item["subdir"], item.get("version_id"), item.get("is_latest")) for item in answer.json]


def content(swift, version="", path="c/o"):
    answer = swift("GET", f"{path}?version-id={version}" if version else path)
    return answer.content if answer.status == 200 else answer.status


def switch(swift, text):
    assert swift("POST", "c", X_Versions_Enabled=text).status == 204


def test_what_is_replaced_stays(kept):
    first = put(kept, b"1", X_Object_Meta_Colour="red")
    second = put(kept, b"22")
    assert first < second
    assert listed(kept) == [("o", second, True), ("o", first, False)]
    assert (content(kept), content(kept, first), content(kept, second)) == (b"22", b"1", b"22")
    old = kept("HEAD", f"c/o?version-id={first}").headers
    assert (old["x-object-version-id"], old["x-object-meta-colour"], old["content-length"]) == (first, "red", "1")
    current = kept("GET", "c/o").headers
    assert current["x-object-version-id"] == second
    assert current["content-location"].endswith(f"/c/o?version-id={second}")
    assert kept.names("c") == ["o"]
    head = kept("HEAD", "c").headers
    assert (head["x-versions-enabled"], head["x-container-object-count"], head["x-container-bytes-used"]) == (
        "True", "1", "3",
    )  # fmt: skip


def test_a_delete_leaves_a_marker(kept):
    first = put(kept, b"1")
    marker = kept("DELETE", "c/o").headers["x-object-version-id"]
    assert content(kept) == 404 and kept.names("c") == []
    assert listed(kept) == [("o", marker, True), ("o", first, False)]
    gone = kept("GET", f"c/o?version-id={marker}")
    assert (gone.status, gone.headers["x-object-version-id"]) == (404, marker)
    assert content(kept, first) == b"1"
    again = kept("DELETE", "c/o")
    assert (again.status, again.headers["x-object-version-id"]) == (404, listed(kept)[0][1])
    assert len(listed(kept)) == 3
    second = put(kept, b"22")
    assert [latest for _, _, latest in listed(kept)] == [True, False, False, False]
    assert listed(kept)[0] == ("o", second, True)


def test_deleting_versions_for_good(kept):
    first, second, third = (put(kept, data) for data in (b"1", b"22", b"333"))
    gone = kept("DELETE", f"c/o?version-id={second}")
    assert (gone.status, gone.headers["x-object-current-version-id"]) == (204, third)
    assert content(kept, second) == 404 and content(kept) == b"333"
    assert kept("DELETE", f"c/o?version-id={second}").status == 404
    gone = kept("DELETE", f"c/o?version-id={third}")
    assert (gone.status, gone.headers["x-object-current-version-id"]) == (204, "null")
    assert content(kept) == 404
    assert listed(kept) == [("o", first, False)]
    assert kept("DELETE", "c").status == 409
    assert kept("DELETE", f"c/o?version-id={first}").status == 204
    assert kept("HEAD", "c").headers["x-container-bytes-used"] == "0"
    assert kept("DELETE", "c").status == 204


def test_a_version_becomes_the_current_one_again(kept):
    first, second = put(kept, b"1"), put(kept, b"22")
    again = kept("PUT", f"c/o?version-id={first}")
    assert (again.status, again.headers["x-object-version-id"]) == (201, first)
    assert content(kept) == b"1" and content(kept, second) == b"22"
    assert listed(kept) == [("o", second, False), ("o", first, True)]
    kept("DELETE", "c/o")
    kept("PUT", f"c/o?version-id={second}")
    assert content(kept) == b"22"
    assert [latest for _, _, latest in listed(kept)] == [False, True, False]
    third = put(kept, b"333")
    assert listed(kept)[0] == ("o", third, True) and len(listed(kept)) == 4
    assert kept("PUT", f"c/o?version-id={first}", b"body").status == 400
    assert kept("PUT", "c/o?version-id=1234567890.12345").status == 404
    marker = next(version for _, version, latest in listed(kept) if version not in (first, second, third))
    assert kept("PUT", f"c/o?version-id={marker}").status == 404
    assert content(kept) == b"333"


def test_off_again(kept):
    """Without versions from here on; those that are there stay."""
    first = put(kept, b"1")
    switch(kept, "false")
    assert kept("HEAD", "c").headers["x-versions-enabled"] == "False"
    assert put(kept, b"22") is put(kept, b"333") is None
    assert listed(kept) == [("o", "null", True), ("o", first, False)]
    assert (content(kept, "null"), content(kept, first)) == (b"333", b"1")
    assert "x-object-version-id" not in kept("DELETE", "c/o").headers
    assert listed(kept) == [("o", first, False)]
    kept("PUT", f"c/o?version-id={first}")
    assert kept("DELETE", "c/o").status == 204
    assert listed(kept) == [("o", first, False)]
    assert kept("DELETE", "c/o").status == 404 and len(listed(kept)) == 1


def test_what_was_there_before(swift):
    swift.put("c")
    swift.put("c/o", b"1")
    assert "x-versions-enabled" not in swift("HEAD", "c").headers
    assert "x-object-version-id" not in swift("GET", "c/o").headers
    assert listed(swift) == [("o", "null", True)]
    switch(swift, "true")
    second = put(swift, b"22")
    assert listed(swift) == [("o", second, True), ("o", "null", False)]
    assert content(swift, "null") == b"1"
    switch(swift, "false")
    put(swift, b"333")
    assert listed(swift) == [("o", "null", True), ("o", second, False)]
    assert content(swift, "null") == b"333"
    switch(swift, "true")
    swift("DELETE", "c/o")
    assert content(swift, "null") == b"333"
    assert swift("DELETE", "c/o?version-id=null").status == 204
    assert content(swift, "null") == 404
    assert [version for _, version, _ in listed(swift)][1:] == [second]


def test_refusals(kept, swift):
    put(kept, b"1")
    assert kept("POST", "c/o?version-id=null").status == 400
    assert kept("GET", "c/o?version-id=nonsense").status == 400
    assert kept("GET", "c/o?version-id=1234567890.12345").status == 404
    assert kept("GET", "c/o?version-id=null").status == 404
    swift.put("plain")
    swift.put("plain/o", b"1")
    for method in ("GET", "DELETE", "PUT"):
        assert swift(method, "plain/o?version-id=1234567890.12345").status == 400
    assert content(swift, "null", "plain/o") == b"1"
    assert kept("GET", "c?versions&version_marker=null").status == 400
    assert kept("GET", "c?versions&marker=o&version_marker=nonsense").status == 400
    assert kept("GET", "c?versions&format=xml").status == 406
    assert kept("GET", "c?versions", Accept="text/plain").status == 406


def test_not_together_with_the_older_ways(kept):
    for name in ("X_Versions_Location", "X_History_Location"):
        assert kept("POST", "c", **{name: "old"}).status == 400
        kept.put("older", **{name: "old"})
        assert kept("POST", "older", X_Versions_Enabled="true").status == 400
        assert kept("PUT", "new", **{name: "old"}, X_Versions_Enabled="true").status == 400
        kept("DELETE", "older")


@pytest.mark.parametrize("at_once", [2, 500])
def test_pages_of_versions(kept, monkeypatch, at_once):
    monkeypatch.setattr(listing, "_CHUNK", at_once)
    for name in ("a/1", "a/2", "b", "c"):
        for data in (b"1", b"22", b"333"):
            put(kept, data, f"c/{name}")
    kept("DELETE", "c/b")
    everything = listed(kept)
    assert [name for name, _, _ in everything] == ["a/1"] * 3 + ["a/2"] * 3 + ["b"] * 4 + ["c"] * 3
    for extra, expected in (("", everything), ("&reverse=true", everything[::-1])):
        for size in (1, 2, 5):
            page, found = listed(kept, f"{extra}&limit={size}"), []
            while page:
                found += page
                name, version, _ = page[-1]
                page = listed(kept, f"{extra}&limit={size}&marker={name}&version_marker={version}")
            assert found == expected
    assert listed(kept, "&marker=a/2") == everything[6:]
    assert listed(kept, "&prefix=a/") == everything[:6]
    assert listed(kept, "&delimiter=/") == [("a/", None, None), *everything[6:]]
    assert listed(kept, "&delimiter=/&limit=1") == [("a/", None, None)]
    assert listed(kept, "&delimiter=/&marker=a/") == everything[6:]


def test_pages_with_an_object_that_has_no_id(swift):
    swift.put("c")
    for name in "ab":
        swift.put(f"c/{name}", b"1")
    switch(swift, "true")
    version = put(swift, b"22", "c/a")
    switch(swift, "false")
    put(swift, b"333", "c/b")
    everything = [("a", version, True), ("a", "null", False), ("b", "null", True)]
    assert listed(swift) == everything
    assert listed(swift, f"&marker=a&version_marker={version}") == everything[1:]
    assert listed(swift, "&marker=a&version_marker=null") == everything[2:]
    assert listed(swift, "&marker=b&version_marker=null") == []


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_versions_are_copied(kept):
    first = put(kept, b"1", X_Object_Meta_Colour="red")
    put(kept, b"22")
    assert kept("COPY", f"c/o?version-id={first}", Destination="c/copied").status == 201
    assert content(kept, path="c/copied") == b"1"
    assert kept("PUT", "c/p", X_Copy_From=f"c/o?version-id={first}").status == 201
    assert kept("GET", "c/p").headers["x-object-meta-colour"] == "red"
    assert kept("PUT", "c/p", X_Copy_From="c/o?version-id=1234567890.12345").status == 404


def test_metadata_makes_no_version(kept):
    first = put(kept, b"1")
    kept("POST", "c/o", X_Object_Meta_Colour="red")
    assert listed(kept) == [("o", first, True)]


def test_large_objects_keep_their_list(kept):
    kept.put("segments")
    kept.put("segments/1", b"12345")
    manifest = b'[{"path": "/segments/1"}]'
    made = kept("PUT", "c/o?multipart-manifest=put", manifest)
    first = made.headers["x-object-version-id"]
    put(kept, b"plain")
    assert content(kept, first) == b"12345"
    assert kept("HEAD", "c").headers["x-container-bytes-used"] == "5"
    assert kept("PUT", f"c/o?version-id={first}").status == 201
    assert content(kept) == b"12345"


def test_a_version_of_a_large_object_goes_with_its_segments(kept):
    kept.put("segments")
    made = []
    for name in ("1", "2"):
        kept.put(f"segments/{name}", b"12345")
        made.append(kept("PUT", "c/o?multipart-manifest=put", f'[{{"path": "/segments/{name}"}}]'.encode()))
    newest = made[-1].headers["x-object-version-id"]
    first = listed(kept)[1][1]
    answer = kept("DELETE", f"c/o?multipart-manifest=delete&version-id={first}")
    assert "Number Deleted: 2" in answer.text
    assert kept.names("segments") == ["2"] and listed(kept) == [("o", newest, True)]


def test_quotas_count_versions(kept):
    kept("POST", "c", X_Container_Meta_Quota_Bytes="5")
    first = put(kept, b"123")
    assert kept("PUT", "c/o", b"456").status == 413
    put(kept, b"45")
    kept("DELETE", f"c/o?version-id={first}")
    put(kept, b"678")


def test_what_expires_stays_as_a_version(kept, cloud, monkeypatch):
    first = put(kept, b"1", X_Delete_After="10")
    later = clock.unix() + 20
    monkeypatch.setattr(clock, "unix", lambda: later)
    assert content(kept) == 404 and content(kept, first) == b"1"
    delete_expired(cloud.cloud)
    assert content(kept) == 404 and content(kept, first) == b"1"
    assert listed(kept) == [("o", first, False)]
    assert "x-delete-at" not in kept("HEAD", f"c/o?version-id={first}").headers


def test_an_object_without_an_id_expires_for_good(swift, cloud, monkeypatch):
    swift.put("c")
    swift.put("c/o", b"1", X_Delete_After="10")
    switch(swift, "true")
    later = clock.unix() + 20
    monkeypatch.setattr(clock, "unix", lambda: later)
    put(swift, b"22")
    assert len(listed(swift)) == 1
    switch(swift, "false")
    swift("PUT", "c/p", b"1", X_Delete_After="10")
    later += 20
    assert content(swift, "null", "c/p") == 404
    delete_expired(cloud.cloud)
    assert len(listed(swift)) == 1


def test_a_clock_that_stands_or_goes_back(kept, monkeypatch):
    moment = clock.unix()
    monkeypatch.setattr(clock, "unix", lambda: moment)
    made = [put(kept, b"1")]
    for step in (0, 0, -1000, 5000):
        moment += step
        made.append(put(kept, b"2"))
    made.append(kept("DELETE", "c/o").headers["x-object-version-id"])
    assert made == sorted(set(made))
    assert [version for _, version, _ in listed(kept)] == made[::-1]


def test_strangers(kept, stranger, anybody):
    first = put(kept, b"1")
    assert stranger("GET", f"c/o?version-id={first}").status == 403
    assert stranger("GET", "c?versions").status == 403
    assert anybody("DELETE", f"c/o?version-id={first}").status == 401


def test_access_lists_open_only_what_is_there_now(kept, stranger, anybody):
    first = put(kept, b"1")
    put(kept, b"22")
    kept("POST", "c", X_Container_Read=".r:*,.rlistings", X_Container_Write="*:*")
    assert (content(anybody), content(anybody, first)) == (b"22", 401)
    assert len(listed(anybody)) == 2
    assert stranger("GET", f"c/o?version-id={first}").status == 403
    assert stranger("DELETE", f"c/o?version-id={first}").status == 403
    assert stranger("DELETE", "c/o").status == 204
    assert content(kept, first) == b"1"


def test_a_temporary_address_is_for_the_current_object(kept, swift):
    first = put(kept, b"1")
    put(kept, b"22")
    swift("POST", "", X_Account_Meta_Temp_URL_Key="secret")
    expires = str(int(clock.unix()) + 60)
    for method in ("GET", "DELETE"):
        text = f"{method}\n{expires}\n{swift.base.removeprefix('/object-store')}/c/o"
        signature = hmac.new(b"secret", text.encode(), "sha256").hexdigest()
        where = f"{swift.base}/c/o?temp_url_sig={signature}&temp_url_expires={expires}&version-id={first}"
        answer = swift.cloud.client(None).request(method, where)
        assert answer.status == (200 if method == "GET" else 204), answer.text
        assert answer.content == (b"22" if method == "GET" else b"")
    assert content(kept, first) == b"1"


def test_deleting_null_hides_a_current_object_that_has_an_id(kept):
    """As upstream."""
    first, second = put(kept, b"1"), put(kept, b"22")
    assert kept("DELETE", "c/o?version-id=null").status == 204
    assert content(kept) == 404
    assert listed(kept) == [("o", second, False), ("o", first, False)]
    assert kept("DELETE", "c/o?version-id=null").status == 404


def test_a_link_is_a_version(kept):
    kept.put("c/target", b"data")
    first = put(kept, b"", X_Symlink_Target="c/target")
    put(kept, b"22")
    old = kept("GET", f"c/o?version-id={first}")
    assert (old.content, old.headers["x-object-version-id"]) == (b"data", first)


def test_many_at_once_leave_markers_too(kept):
    first, other = put(kept, b"1"), put(kept, b"2", "c/p")
    answer = kept("POST", "?bulk-delete", "c/o\nc/p\n", Content_Type="text/plain")
    assert "Number Deleted: 2" in answer.text
    assert [version for _, version, latest in listed(kept) if not latest] == [first, other]


def test_it_is_told(swift):
    assert swift.client.get("/info").json["object_versioning"] == {}


def test_lists_cost_the_same(kept, cloud):
    for name in "abc":
        for data in (b"1", b"2"):
            put(kept, data, f"c/{name}")
    few = cloud.count_queries(lambda: listed(kept, "&limit=1"))
    assert cloud.count_queries(lambda: listed(kept)) == few
