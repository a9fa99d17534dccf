"""The whole bridge on this machine, fed with made-up Jira traffic."""
