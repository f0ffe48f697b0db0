"""Who may see the pages where the settings ask for a login: Streamlit's own, with OpenID Connect.

Streamlit keeps who signed in in a cookie, signed with the secret of `.streamlit/secrets.toml`, and reads it when a page
connects. Our routes beside its own, which feed the charts, look at the same cookie.
"""

import json
from collections.abc import Mapping

import streamlit as st
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from engine import Engine

ASKED = "oidc"


def may_see(engine: Engine) -> bool:
    """Whether the reader of this page may see it; who may not is offered to sign in."""
    if engine.settings.login != ASKED or getattr(st.user, "is_logged_in", False) is True:
        return True
    st.header("Pairscope")
    st.write("This server asks who you are.")
    st.button("Sign in", type="primary", on_click=st.login)
    return False


def may_read(engine: Engine, cookies: Mapping[str, str]) -> bool:
    """Whether a request with these cookies may read what the pages show."""
    return engine.settings.login != ASKED or is_signed_in(cookies)


def is_signed_in(cookies: Mapping[str, str]) -> bool:
    """Whether the cookies hold a sign-in that this server has signed, and that is not too old."""
    secret = get_cookie_secret()

    def one(name: str) -> bytes | None:
        value = cookies.get(name)
        return None if value is None else decode_signed_value(secret, name, value.encode("latin-1"))

    found = get_cookie_with_chunks(one, USER_COOKIE_NAME)
    try:
        return found is not None and json.loads(found).get("is_logged_in") is True
    except (ValueError, AttributeError):
        return False
