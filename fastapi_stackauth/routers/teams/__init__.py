"""Teams: members, profiles, permissions and invitations."""
