"""The whole bridge on one machine: invented Jira traffic, a real bridge, a stand-in for Aha!."""
