"""Bodies as Jira sends them, Cloud and Data Center, made from a model of people and issues."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

Body = dict[str, Any]

#: status -> (id, key of its category, id of its category, colour, name of its category)
STATUSES = {
    "To Do": ("10000", "new", 2, "blue-gray", "To Do"),
    "In Progress": ("3", "indeterminate", 4, "yellow", "In Progress"),
    "In Review": ("10001", "indeterminate", 4, "yellow", "In Progress"),
    "Done": ("10002", "done", 3, "green", "Done"),
}
PRIORITIES = {"Highest": "1", "High": "2", "Medium": "3", "Low": "4", "Lowest": "5"}
TYPES = {"Epic": "10000", "Story": "10001", "Task": "10002", "Bug": "10004"}
PROJECTS = {
    "PLAT": ("10000", "Platform"),
    "MOB": ("10001", "Mobile"),
    "HR": ("10002", "People"),
    "CORE": ("10003", "Core services"),
}
#: The priorities of an older Jira have other names.
_OLD_PRIORITIES = {
    "Highest": "Blocker",
    "High": "Critical",
    "Medium": "Major",
    "Low": "Minor",
    "Lowest": "Trivial",
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY_FIELDS = (
    *("timespent", "timeoriginalestimate", "timeestimate", "aggregatetimespent", "resolution"),
    *("aggregatetimeestimate", "aggregatetimeoriginalestimate", "resolutiondate", "environment"),
    *("duedate", "security"),
    *(f"customfield_{number}" for number in (*range(10021, 10038), 10014, 10015, 10017)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Someone who works in Jira."""

    #: The user name of Data Center.
    name: str
    display: str
    email: str
    #: The account id of Cloud.
    account: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """An issue at one instant; use `dataclasses.replace` for a later one."""

    id: int
    key: str
    type: str = "Story"
    summary: str = "Export the roadmap as a file"
    description: str | None = "As a product manager I want to take the roadmap with me."
    status: str = "To Do"
    priority: str = "Medium"
    labels: tuple[str, ...] = ()
    reporter: Person
    assignee: Person | None = None
    points: float | None = None
    sprint: str = ""
    #: In ms since the epoch, as all instants here.
    created: int
    updated: int

    @property
    def project(self) -> str:
        """The key of its project."""
        return self.key.rpartition("-")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comment:
    """A comment as it stands at one instant."""

    id: int
    author: Person
    text: str
    created: int
    updated: int
    #: The role that may read it, or "".
    role: str = ""
    #: Not for customers of the service desk.
    internal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One line of a changelog."""

    field: str
    #: "" if the item has none, as in old versions of Data Center.
    field_id: str = ""
    #: The id and the text before.
    was: tuple[str | None, str | None] = (None, None)
    #: The id and the text after.
    now: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A changelog."""

    id: int
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """One Jira installation: builds the bodies of its webhooks."""

    base: str
    cloud: bool
    #: The time zone of its dates, in hours from UTC.
    zone: int = 0

    def issue_created(self, issue: Issue, by: Person, change: Change | None = None) -> Body:
        """Build the body for a new issue; Cloud adds a changelog of its first values."""
        head = self._head("jira:issue_created", issue.created + 14, by, "issue_created")
        return head | {"issue": self.issue(issue)} | self._changelog(change)

    def issue_updated(
        self,
        issue: Issue,
        by: Person,
        kind: str,
        change: Change | None = None,
        comment: Comment | None = None,
    ) -> Body:
        """Build the body for a changed or commented issue, at the issue's `updated`."""
        head = self._head("jira:issue_updated", issue.updated, by, kind)
        body: Body = head | {"issue": self.issue(issue, comment)}
        if comment is not None:
            body["comment"] = self.comment(comment, issue)
        return body | self._changelog(change)

    def issue_deleted(self, issue: Issue, by: Person, at: int) -> Body:
        """Build the body for a deleted issue, with its last values."""
        return self._head("jira:issue_deleted", at, by) | {"issue": self.issue(issue)}

    def comment_event(self, name: str, comment: Comment, issue: Issue, at: int) -> Body:
        """Build the body of a comment event; Cloud adds six fields of the issue."""
        body = self._head(name, at) | {"comment": self.comment(comment, issue)}
        if self.cloud:
            body |= {"issue": self.six_fields(issue), "eventType": "primaryAction"}
        return body

    def comment_pair(
        self, name: str, comment: Comment, issue: Issue, gap: int = 0
    ) -> tuple[Body, Body]:
        """Build Data Center's two bodies for a comment: without the issue, then with it.

        `gap` is the time between them, in ms.
        """
        kind = {"comment_created": "issue_commented", "comment_updated": "issue_comment_edited"}
        thin = self.comment_event(name, comment, issue, comment.updated)
        later = replace(issue, updated=comment.updated + gap)
        return thin, self.issue_updated(later, comment.author, kind[name], comment=comment)

    def worklog_created(self, number: int, issue: Issue, by: Person, at: int) -> Body:
        """Build the body for ten minutes of logged work."""
        worklog = {
            "self": f"{self.base}/rest/api/2/issue/{issue.id}/worklog/{number}",
            "author": self.person(by),
            "updateAuthor": self.person(by),
            "comment": "Looked into it",
            "created": self.instant(at),
            "updated": self.instant(at),
            "started": self.instant(at - 600_000),
            "timeSpent": "10m",
            "timeSpentSeconds": 600,
            "id": str(number),
            "issueId": str(issue.id),
        }
        return self._head("worklog_created", at) | {"worklog": worklog}

    def sprint(self, name: str, number: int, title: str, at: int) -> Body:
        """Build the body of a sprint event, which concerns no issue."""
        sprint = {
            "id": number,
            "self": f"{self.base}/rest/agile/1.0/sprint/{number}",
            "state": {"sprint_started": "active", "sprint_closed": "closed"}.get(name, "future"),
            "name": title,
            "startDate": self.instant(at),
            "endDate": self.instant(at + 14 * 86_400_000),
            "originBoardId": 12,
            "goal": "",
        }
        return self._head(name, at) | {"sprint": sprint}

    def version(self, name: str, number: int, title: str, at: int) -> Body:
        """Build the body of a version event, which concerns no issue."""
        version = {
            "self": f"{self.base}/rest/api/2/version/{number}",
            "id": str(number),
            "description": "",
            "name": title,
            "archived": False,
            "released": name.endswith("_released"),
            "projectId": int(PROJECTS["PLAT"][0]),
        }
        return self._head(name, at) | {"version": version}

    def user_created(self, who: Person, at: int) -> Body:
        """Build the body for a new user; `user` is the new user and not the administrator."""
        return self._head("user_created", at) | {"user": self.person(who)}

    # --- parts

    def issue(self, issue: Issue, comment: Comment | None = None) -> Body:
        """Build a complete issue; Data Center includes its latest comment."""
        fields = self._six(issue) | dict.fromkeys(_EMPTY_FIELDS) | self._own_fields(issue)
        if not self.cloud:
            comments = [] if comment is None else [self.comment(comment, issue)]
            number = len(comments)
            counts = {"maxResults": number, "total": number, "startAt": 0}
            fields["comment"] = {"comments": comments} | counts
            fields["worklog"] = {"startAt": 0, "maxResults": 20, "total": 0, "worklogs": []}
        return self._named(issue) | {"fields": fields}

    def six_fields(self, issue: Issue) -> Body:
        """Build an issue with the six fields of Cloud's comment events."""
        return self._named(issue) | {"fields": self._six(issue)}

    def comment(self, comment: Comment, issue: Issue) -> Body:
        """Build a comment."""
        body: Body = {
            "self": f"{self.base}/rest/api/2/issue/{issue.id}/comment/{comment.id}",
            "id": str(comment.id),
            "author": self.person(comment.author),
            "body": comment.text,
            "updateAuthor": self.person(comment.author),
            "created": self.instant(comment.created),
            "updated": self.instant(comment.updated),
        }
        if comment.role:
            body["visibility"] = {"type": "role", "value": comment.role}
        if self.cloud:
            body["jsdPublic"] = not comment.internal
        return body

    def person(self, person: Person) -> Body:
        """Build a person: Cloud gives an account id, Data Center a name and an e-mail address."""
        shown = {"displayName": person.display, "active": True, "timeZone": "Europe/Berlin"}
        if self.cloud:
            link = f"{self.base}/rest/api/2/user?accountId={person.account.replace(':', '%3A')}"
            body: Body = {"self": link, "accountId": person.account, "accountType": "atlassian"}
        else:
            link = f"{self.base}/rest/api/2/user?username={person.name}"
            known = {"name": person.name, "key": person.name}
            body = {"self": link, "emailAddress": person.email} | known
        avatar = f"{self.base}/secure/useravatar?ownerId={person.name}"
        return body | {"avatarUrls": _sizes(avatar)} | shown

    @property
    def points(self) -> str:
        """The id of the field for story points."""
        return "customfield_10016" if self.cloud else "customfield_10006"

    def priority(self, name: str) -> str:
        """Return the installation's name for a priority: on Data Center, Highest is Blocker."""
        return name if self.cloud else _OLD_PRIORITIES[name]

    def instant(self, at: int) -> str:
        """Format an instant, in ms since the epoch, like Jira: 2026-03-05T09:00:00.000+0100."""
        when = (_EPOCH + timedelta(milliseconds=at)).astimezone(
            timezone(timedelta(hours=self.zone))
        )
        return f"{when:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}{when:%z}"

    def _head(self, name: str, at: int, by: Person | None = None, kind: str = "") -> Body:
        body: Body = {"timestamp": at, "webhookEvent": name}
        if kind:
            body["issue_event_type_name"] = kind
        if by is not None:
            body["user"] = self.person(by)
        return body

    def _changelog(self, change: Change | None) -> Body:
        if change is None:
            return {}
        items = [self._item(item) for item in change.items]
        return {"changelog": {"id": str(change.id), "items": items}}

    def _item(self, item: Item) -> Body:
        body: Body = {"field": item.field, "fieldtype": "jira"}
        if item.field_id:
            body["fieldId"] = item.field_id
        (was_id, was), (now_id, now) = item.was, item.now
        body |= {"from": was_id, "fromString": was, "to": now_id, "toString": now}
        if self.cloud and item.field == "assignee":
            body |= {"tmpFromAccountId": was_id, "tmpToAccountId": now_id}
        return body

    def _named(self, issue: Issue) -> Body:
        link = f"{self.base}/rest/api/2/{'' if self.cloud else 'issue/'}{issue.id}"
        return {"id": str(issue.id), "self": link, "key": issue.key}

    def _six(self, issue: Issue) -> Body:
        return {
            "summary": issue.summary,
            "issuetype": self._type(issue),
            "project": self._project(issue.project),
            "assignee": None if issue.assignee is None else self.person(issue.assignee),
            "priority": self._priority(issue.priority),
            "status": self._status(issue.status),
        }

    def _priority(self, name: str) -> Body:
        number, shown = PRIORITIES[name], self.priority(name)
        return {
            "self": f"{self.base}/rest/api/2/priority/{number}",
            "iconUrl": f"{self.base}/images/icons/priorities/{shown.lower()}.svg",
            "name": shown,
            "id": number,
        }

    def _type(self, issue: Issue) -> Body:
        number = TYPES[issue.type]
        return {
            "self": f"{self.base}/rest/api/2/issuetype/{number}",
            "id": number,
            "description": f"Made for what is called a {issue.type.lower()} here.",
            "iconUrl": f"{self.base}/secure/viewavatar?size=medium&avatarId=1{number}",
            "name": issue.type,
            "subtask": False,
            "avatarId": 10300,
            "hierarchyLevel": 1 if issue.type == "Epic" else 0,
        }

    def _project(self, key: str) -> Body:
        number, name = PROJECTS[key]
        avatar = f"{self.base}/secure/projectavatar?pid={number}"
        return {
            "self": f"{self.base}/rest/api/2/project/{number}",
            "id": number,
            "key": key,
            "name": name,
            "projectTypeKey": "software",
            "simplified": False,
            "avatarUrls": _sizes(avatar),
        }

    def _status(self, name: str) -> Body:
        number, category, category_id, colour, category_name = STATUSES[name]
        return {
            "self": f"{self.base}/rest/api/2/status/{number}",
            "description": "",
            "iconUrl": f"{self.base}/images/icons/statuses/generic.png",
            "name": name,
            "id": number,
            "statusCategory": {
                "self": f"{self.base}/rest/api/2/statuscategory/{category_id}",
                "id": category_id,
                "key": category,
                "colorName": colour,
                "name": category_name,
            },
        }

    def _own_fields(self, issue: Issue) -> Body:
        numbers = {"progress": 0, "total": 0}
        links = f"{self.base}/rest/api/2/issue/{issue.key}"
        return {
            "description": issue.description,
            "labels": list(issue.labels),
            "reporter": self.person(issue.reporter),
            "creator": self.person(issue.reporter),
            "created": self.instant(issue.created),
            "updated": self.instant(issue.updated),
            "statuscategorychangedate": self.instant(issue.created),
            "lastViewed": None,
            "workratio": -1,
            "components": [],
            "versions": [],
            "fixVersions": [],
            "issuelinks": [],
            "subtasks": [],
            "attachment": [],
            "timetracking": {},
            "progress": numbers,
            "aggregateprogress": numbers,
            "votes": {"self": f"{links}/votes", "votes": 0, "hasVoted": False},
            "watches": {"self": f"{links}/watchers", "watchCount": 1, "isWatching": False},
            self.points: issue.points,
            "customfield_10019": f"0|i0{issue.id % 10_000:04d}:",
            "customfield_10020": self._sprints(issue),
            "customfield_10000": "{}",
        }

    def _sprints(self, issue: Issue) -> list[Any] | None:
        if not issue.sprint:
            return None
        if self.cloud:
            goal = {"boardId": 12, "goal": ""}
            return [{"id": 37, "name": issue.sprint, "state": "active"} | goal]
        bean = "com.atlassian.greenhopper.service.sprint.Sprint@1f2e3d4c"
        return [f"{bean}[id=37,rapidViewId=12,state=ACTIVE,name={issue.sprint},goal=<null>]"]


def _sizes(address: str) -> dict[str, str]:
    joint = "&" if "?" in address else "?"
    return {f"{n}x{n}": f"{address}{joint}size={n}" for n in (48, 24, 16, 32)}
