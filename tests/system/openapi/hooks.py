"""How schemathesis comes to be signed in, as an administrator.

Many calls end sessions, the caller's own among them: every case finds out first whether its session stands, and begins a new
one if it does not. A credential comes as a bearer or as a cookie, as API clients and pages send it: which one follows from the
case itself, so that a seed gives the same run again.
"""

import base64
import collections
import os
import zlib

import requests
import schemathesis

SITE = os.environ["SITE"]
# A service that may introspect.
CLIENT = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
CREDENTIALS = {"email": os.environ["EMAIL"], "password": os.environ["PASSWORD"]}

ACCESS = "__Host-Http-access"
REFRESH = "__Host-Http-refresh"
# As System configures it.
PROVIDER = "demo"

FORM = "application/x-www-form-urlencoded"
OWN_PAGE = ("Sec-Fetch-Site", "same-origin")


class Session:
    """The cookies of a session that stands. They are `Secure`, and SITE is not: no client keeps them by itself."""

    def __init__(self):
        self.cookies = {}
        self.user = None
        self.id = None

    def standing(self):
        if not self._stands():
            answer = requests.post(f"{SITE}/auth/login", json=CREDENTIALS, timeout=30)
            answer.raise_for_status()
            signed_in = answer.json()
            self.user, self.id = signed_in["user"]["id"], signed_in["session"]["id"]
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


def basic(pair):
    return "Basic " + base64.b64encode(":".join(pair).encode()).decode()


def drawn(case, outcomes):
    """One of `outcomes`, as if by chance, but the same for the same case."""
    seen = (case.operation.label, case.path_parameters, case.query, case.body)
    return outcomes[zlib.crc32(repr(seen).encode(errors="replace")) % len(outcomes)]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    def get(self, case, context):
        return SESSION.standing()

    def set(self, case, cookies, context):
        wanted = schemes(context.operation) & {"accessCookie", "bearer", "refreshCookie", "client"}
        if not wanted:
            return
        for name in (ACCESS, REFRESH):
            case.cookies.pop(name, None)
        case.headers.pop("Authorization", None)
        scheme = drawn(case, sorted(wanted))
        if scheme == "bearer":
            case.headers["Authorization"] = f"Bearer {cookies[ACCESS]}"
            return
        if scheme == "client":
            # One proof only: the other ones stand in the form.
            if not isinstance(case.body, dict) or not case.body.keys() & {"client_secret", "client_assertion"}:
                case.headers["Authorization"] = basic(CLIENT)
            return
        name = REFRESH if scheme == "refreshCookie" else ACCESS
        case.cookies[name] = cookies[name]
        case.headers.setdefault(*OWN_PAGE)
        if name == REFRESH:
            # It is used up, and to use it again would end the session.
            SESSION.forget()


class Users:
    """Accounts besides the administrator's own."""

    def __init__(self):
        self.count = 0

    def new(self):
        self.count += 1
        new = {"email": f"somebody-{self.count}@example.test", "name": "Somebody"}
        return self._post("/auth/admin/users", json=new)["id"]

    def invited(self):
        """The token of a link that works: no answer gives it out alone, so no link of the description leads there."""
        return self._post(f"/auth/admin/users/{self.new()}/invite")["url"].rpartition("/")[2]

    def _post(self, path, **body):
        bearer = {"Authorization": f"Bearer {SESSION.standing()[ACCESS]}"}
        answer = requests.post(f"{SITE}{path}", headers=bearer, timeout=30, **body)
        answer.raise_for_status()
        return answer.json()


USERS = Users()


def sign_in(case):
    case.body |= CREDENTIALS


def change_password(case):
    case.body |= {"current": CREDENTIALS["password"], "new": CREDENTIALS["password"]}


def by_invitation(case):
    case.path_parameters["token"] = USERS.invited()


def of_somebody(case):
    case.path_parameters["id"] = USERS.new()


def own_session(case):
    case.path_parameters["id"] = SESSION.id


def tokens_of_client(case):
    as_client(case)
    case.body = {"grant_type": "client_credentials"}


def about_token(case):
    as_client(case)
    case.body = {"token": SESSION.standing()[ACCESS]}


def as_client(case):
    case.cookies.clear()
    case.headers["Authorization"] = basic(CLIENT)


def of_provider(case):
    case.path_parameters["provider"] = PROVIDER


# What only who knows an account, a link, a client or a provider can ask for.
SUCCEEDING = {
    "POST /auth/login": sign_in,
    "POST /auth/account/password": change_password,
    "GET /auth/invite/{token}": by_invitation,
    "POST /auth/invite/{token}": by_invitation,
    "DELETE /auth/sessions/{id}": own_session,
    "GET /auth/admin/users/{id}": of_somebody,
    "DELETE /auth/admin/users/{id}": of_somebody,
    "PUT /auth/admin/users/{id}/roles": of_somebody,
    "POST /auth/admin/users/{id}/revoke": of_somebody,
    "POST /auth/admin/users/{id}/disable": of_somebody,
    "POST /auth/admin/users/{id}/enable": of_somebody,
    "POST /auth/admin/users/{id}/invite": of_somebody,
    "POST /auth/admin/users/{id}/impersonate": of_somebody,
    "POST /oauth/token": tokens_of_client,
    "POST /oauth/revoke": about_token,
    "POST /oauth/introspect": about_token,
    "GET /auth/login/{provider}": of_provider,
    "GET /auth/callback/{provider}": of_provider,
    "POST /auth/backchannel-logout/{provider}": of_provider,
    "POST /auth/global-token-revocation/{provider}": of_provider,
}


def spare_oneself(case):
    """An administrator who deletes, disables or demotes themselves asks for nothing any more: it is done to somebody else."""
    if case.method != "GET" and case.path_parameters.get("id") == SESSION.user:
        case.path_parameters["id"] = USERS.new()


TRIED = collections.Counter()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Half of the well-formed cases ask for something that there is, and most forms come from the site's own page."""
    spare_oneself(case)
    label = case.operation.label
    if label in SUCCEEDING and case.meta.generation.mode.is_positive:
        # The first ones in any case, so that none is never reached.
        if TRIED[label] < 3 or drawn(case, [True, False]):
            SUCCEEDING[label](case)
        TRIED[label] += 1
    if case.media_type == FORM and drawn(case, [True, True, False]):
        case.headers.setdefault(*OWN_PAGE)
