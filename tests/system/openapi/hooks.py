"""How schemathesis comes to be signed in, as an administrator.

Many calls end sessions, the caller's own among them: every case finds out first whether its session stands, and begins a new
one if it does not. A credential comes as a bearer or as a cookie, as API clients and pages send it: which one follows from the
case itself, so that a seed gives the same run again.
"""

import os
import zlib

import requests
import schemathesis

SITE = os.environ["SITE"]
USER = os.environ["USER_ID"]
CREDENTIALS = {"email": os.environ["EMAIL"], "password": os.environ["PASSWORD"]}

ACCESS = "__Host-Http-access"
REFRESH = "__Host-Http-refresh"
OWN_PAGE = ("Sec-Fetch-Site", "same-origin")


class Session:
    """The cookies of a session that stands. They are `Secure`, and SITE is not: no client keeps them by itself."""

    def __init__(self):
        self.cookies = {}

    def standing(self):
        if not self._stands():
            answer = requests.post(f"{SITE}/auth/login", json=CREDENTIALS, timeout=30)
            answer.raise_for_status()
            self._keep(answer)
        return self.cookies

    def forget(self):
        self.cookies = {}

    def _stands(self):
        if not self.cookies:
            return False
        bearer = {"Authorization": f"Bearer {self.cookies[ACCESS]}"}
        answer = requests.get(f"{SITE}/auth/session", headers=bearer, timeout=30)
        return answer.status_code == 200

    def _keep(self, answer):
        for line in answer.raw.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value


SESSION = Session()


def schemes(operation):
    """The names of the security schemes that `operation` takes, or that all take where it says nothing."""
    schema = operation.schema.raw_schema
    taken = operation.definition.raw.get("security", schema.get("security", []))
    return {name for each in taken for name in each}


def drawn(case, outcomes):
    """One of `outcomes`, as if by chance, but the same for the same case."""
    seen = (case.operation.label, case.path_parameters, case.query, case.body)
    return outcomes[zlib.crc32(repr(seen).encode(errors="replace")) % len(outcomes)]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    def get(self, case, context):
        return SESSION.standing()

    def set(self, case, cookies, context):
        wanted = schemes(context.operation) & {"accessCookie", "bearer", "refreshCookie"}
        if not wanted:
            return
        for name in (ACCESS, REFRESH):
            case.cookies.pop(name, None)
        case.headers.pop("Authorization", None)
        scheme = drawn(case, sorted(wanted))
        if scheme == "bearer":
            case.headers["Authorization"] = f"Bearer {cookies[ACCESS]}"
            return
        name = REFRESH if scheme == "refreshCookie" else ACCESS
        case.cookies[name] = cookies[name]
        case.headers.setdefault(*OWN_PAGE)
        if name == REFRESH:
            # It is used up, and to use it again would end the session.
            SESSION.forget()


class Invitations:
    """Links that work: no answer of the API gives out the token alone, so no link of the description leads there."""

    def __init__(self):
        self.count = 0

    def token(self):
        self.count += 1
        new = {"email": f"invited-{self.count}@example.test", "name": "Invited"}
        user = self._post("/auth/admin/users", json=new)["id"]
        return self._post(f"/auth/admin/users/{user}/invite")["url"].rpartition("/")[2]

    def _post(self, path, **body):
        bearer = {"Authorization": f"Bearer {SESSION.standing()[ACCESS]}"}
        answer = requests.post(f"{SITE}{path}", headers=bearer, timeout=30, **body)
        answer.raise_for_status()
        return answer.json()


INVITATIONS = Invitations()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Some calls that are well formed are of an account or a link that exists, and most forms come from the site's own page."""
    label, good = case.operation.label, case.meta.generation.mode.is_positive
    if label.endswith(" /auth/invite/{token}") and good and drawn(case, [True, False]):
        case.path_parameters["token"] = INVITATIONS.token()
    if label == "POST /auth/admin/users/{id}/impersonate" and good and drawn(case, [True, False]):
        case.path_parameters["id"] = USER
    if not isinstance(case.body, dict):
        return
    if case.media_type == "application/x-www-form-urlencoded" and drawn(case, [True, True, False]):
        case.headers.setdefault(*OWN_PAGE)
    if label == "POST /auth/login" and good and drawn(case, [True, False]):
        case.body |= CREDENTIALS
    if label == "POST /auth/account/password" and good and drawn(case, [True, False]):
        case.body |= {"current": CREDENTIALS["password"], "new": CREDENTIALS["password"]}
