"""What nobody on aiohttp can beat: a dictionary with a look at the clock, and a bare request with a shared future."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import hashlib
import json
import os
import threading
import time
import uuid
from typing import Any, NamedTuple

import aiohttp

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Token(NamedTuple):
    token: str
    expires_on: int


class Floor:
    """As little as can be called a credential: no errors, no retries, no refresh, no tenants, no claims."""

    def __init__(self, kind: str) -> None:
        self._tokens: dict[str, Token] = {}
        self._under_way: dict[str, concurrent.futures.Future[Token]] = {}
        self._lock = threading.Lock()
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._ask = self._ask_imds if kind == "imds" else self._ask_entra
        self._signer = Signer(os.environ[f"BENCHMARK_{kind.upper()}"]) if "certificate" in kind else None

    async def get_token(self, *scopes: str, **_: Any) -> Token:
        token = self._tokens.get(scopes[0])
        if token is not None and time.time() < token.expires_on:
            return token
        return await self._once(scopes[0])

    get_token_info = get_token

    async def close(self) -> None:
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    async def _once(self, scope: str) -> Token:
        with self._lock:
            future = self._under_way.get(scope)
            mine = future is None
            if future is None:
                future = self._under_way[scope] = concurrent.futures.Future()
        if mine:
            answer = await self._ask(scope)
            self._tokens[scope] = Token(answer["access_token"], int(time.time()) + int(answer["expires_in"]))
            del self._under_way[scope]
            future.set_result(self._tokens[scope])
        return await asyncio.wrap_future(future)

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = aiohttp.ClientSession()
        return self._sessions[loop]

    async def _ask_entra(self, scope: str) -> Any:
        url = f"{os.environ['AZURE_AUTHORITY_HOST']}/{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token"
        form = {"client_id": os.environ["AZURE_CLIENT_ID"], "grant_type": "client_credentials", "scope": scope}
        if self._signer is None:
            form["client_secret"] = os.environ["AZURE_CLIENT_SECRET"]
        else:
            form["client_assertion_type"] = _ASSERTION
            form["client_assertion"] = await asyncio.to_thread(self._signer.assertion, url)
        async with self._session().post(url, data=form) as response:
            return json.loads(await response.read())

    async def _ask_imds(self, scope: str) -> Any:
        url = f"{os.environ['AZURE_POD_IDENTITY_AUTHORITY_HOST']}/metadata/identity/oauth2/token"
        params = {"api-version": "2018-02-01", "resource": scope.removesuffix("/.default")}
        async with self._session().get(url, params=params, headers={"Metadata": "true"}) as response:
            return json.loads(await response.read())


class Signer:
    """Client assertions out of a PEM file with key and certificate."""

    def __init__(self, path: str) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        with open(path, "rb") as file:
            text = file.read()
        self._key: Any = serialization.load_pem_private_key(text, None)
        certificate = x509.load_pem_x509_certificate(text)
        self._header = {"typ": "JWT", "alg": "PS256", "x5t#S256": _b64(certificate.fingerprint(hashes.SHA256()))}

    def assertion(self, audience: str) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        now, client = int(time.time()), os.environ["AZURE_CLIENT_ID"]
        claims = {"aud": audience, "iss": client, "sub": client, "jti": str(uuid.uuid4())}
        claims |= {"iat": now, "nbf": now, "exp": now + 600}
        signed = f"{_b64(json.dumps(self._header).encode())}.{_b64(json.dumps(claims).encode())}"
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashlib.sha256().digest_size)
        return f"{signed}.{_b64(self._key.sign(signed.encode(), pss, hashes.SHA256()))}"


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
