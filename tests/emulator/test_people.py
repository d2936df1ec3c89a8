"""What a test does to an emulator that it holds: people, teams and permissions in it, and all of it undone."""

from collections.abc import Iterator

import pytest

from fastapi_stackauth.emulator import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(config={"magic_link_enabled": False}, fast_hashes=True)
    yield emulator
    emulator.close()


def test_people_join_teams_with_permissions(emulator: Emulator) -> None:
    emulator.define_permission("posts:delete", contains=["$read_members"])
    ada = emulator.add_user(primary_email="ada@example.com", primary_email_verified=True)
    guest = emulator.add_user(is_anonymous=True)
    red = emulator.add_team("Red", server_metadata={"plan": "big"})
    emulator.join(red, ada, ["posts:delete"])
    emulator.join(red, guest)
    permissions = emulator.store.permissions
    assert permissions.in_team(red, ada) == ["posts:delete"]
    assert permissions.in_team(red, guest) == ["team_member"]
    assert "$read_members" in permissions.with_contained(emulator.project_id, ["posts:delete"])


@pytest.mark.parametrize("team", ["", "nowhere"])
def test_who_or_what_is_missing_or_there_already_is_named(emulator: Emulator, team: str) -> None:
    ada = emulator.add_user(primary_email="ada@example.com")
    red = emulator.add_team("Red")
    emulator.join(red, ada)
    with pytest.raises(ValueError, match="no such team"):
        emulator.join(team, ada)
    with pytest.raises(ValueError, match="twice"):
        emulator.join(red, ada)
    with pytest.raises(ValueError, match="another user"):
        emulator.add_user(primary_email="ada@example.com")
    with pytest.raises(ValueError, match="team with this id"):
        emulator.add_team("Blue", id=red)
    with pytest.raises(ValueError, match="not defined"):
        emulator.join(red, emulator.add_user(is_anonymous=True), ["nope"])
    assert len(emulator.store.teams.members(emulator.project_id, red)) == 1  # all of it, or nothing


def test_a_reset_leaves_an_emulator_as_it_was_made(emulator: Emulator) -> None:
    before = (emulator.project, emulator.store.permissions.definitions(emulator.project_id))
    token = emulator.issue_token()["access_token"]
    emulator.define_permission("reports:see", scope="project")
    emulator.add_team("Red")
    emulator.configure(magic_link_enabled=True, domains=[{"domain": "https://notes.example"}])
    emulator.clock.advance(1000)
    other = emulator.for_project("other")
    other.add_user(primary_email="ada@example.com")
    emulator.reset()
    assert (emulator.project, emulator.store.permissions.definitions(emulator.project_id)) == before
    assert emulator.clock.offset == 0
    assert emulator.store.users.in_order(emulator.project_id) == []
    assert emulator.store.teams.list_for_project(emulator.project_id) == []
    assert [project.id for project in emulator.store.projects.all()] == [emulator.project_id]
    assert token.split(".")[0] == emulator.issue_token()["access_token"].split(".")[0]  # the signing keys stay


def test_another_project_of_the_same_server_is_a_view_of_it(emulator: Emulator) -> None:
    other = emulator.for_project("other")
    ada = other.add_user(primary_email="ada@example.com")
    assert (other.app, other.url, other.clock) == (emulator.app, emulator.url, emulator.clock)
    assert other.project.config["magic_link_enabled"] is False
    assert emulator.store.users.get("other", ada)
    assert emulator.store.users.get(emulator.project_id, ada) is None
    with pytest.raises(ValueError, match="id is a UUID"):
        emulator.for_project("no id")
