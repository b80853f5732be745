# SPDX-License-Identifier: Apache-2.0
"""The token's way in five steps (IDN-10), as `alto trace` of a new server shows it."""


def test_five_steps_before_the_job(cloud):
    member = cloud.person("member", "blue")
    body = {
        "name": "one",
        "imageRef": member.make_image(),
        "flavorRef": member.get("/flavors").json["flavors"][0]["id"],
        "networks": "none",
    }
    server = member.post("/servers", {"server": body}).json["server"]["id"]
    cloud.settle()
    events = cloud.admin.get(f"/alto/v1/traces/{server}").json["events"]
    way = [(one["what"], one["detail"]) for one in events if one["what"][:2] in ("1 ", "2 ", "3 ", "4 ", "5 ")]
    assert [what[0] for what, _ in way] == ["1", "2", "3", "4", "5"]
    details = dict(way)
    assert "user member-of-blue by password, for project blue, until 2" in details["1 token issued"]
    assert details["3 token verified"] == "roles member, reader in project blue"
    assert details["4 quota, and what is used"].startswith("instances 0 of 10, cores 0 of 20, ram 0 of 51200")
    job = next(place for place, one in enumerate(events) if one["what"].startswith("job created"))
    assert [one["what"][0] for one in events[:job]][:5] == ["1", "2", "3", "4", "5"]
