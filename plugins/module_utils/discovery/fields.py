# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which fields Traefik 3.7 takes from labels, and of which type.

One unknown field or one value of a wrong type makes Traefik refuse the *whole* file, and with it every change
of every stack, so the plan has to know them. Conversion itself needs no schema: what is not listed here passes
unchanged when the option `unknown_fields` allows it.
"""

from __future__ import annotations

from typing import Union

TEXT, INT, BOOL, DURATION, LIST, FREE = "text", "int", "bool", "duration", "list", "free"


class Struct:
    """Named fields, matched without regard to case. `empty`: may be written as `name=true` without fields."""

    def __init__(self, fields: dict[str, Kind], empty: bool = False) -> None:
        """fields: Traefik's spelling of each name to its kind."""
        self.empty = empty
        self.fields = fields
        self._spelling = {name.lower(): name for name in fields}

    def find(self, name: str) -> tuple[str, Kind] | None:
        """Traefik's spelling and the kind of a field, or None."""
        spelling = self._spelling.get(name.lower())
        return None if spelling is None else (spelling, self.fields[spelling])


class Map:
    """Names that the user chooses, all with values of one kind."""

    def __init__(self, of: Kind) -> None:
        """of: kind of each value."""
        self.of = of


class Items:
    """A list of structs, written `name[0].field`."""

    def __init__(self, of: Struct) -> None:
        """of: kind of each item."""
        self.of = of


Kind = Union[str, Struct, Map, Items]


def _all(kind: str, names: str, empty: bool = False) -> Struct:
    return Struct(dict.fromkeys(names.split(), kind), empty)


_TEXTS = Map(TEXT)
_DOMAIN = Struct({"main": TEXT, "sans": LIST})
_OBSERVABILITY = Struct({"accessLogs": BOOL, "metrics": BOOL, "tracing": BOOL, "traceVerbosity": TEXT})
_IP_STRATEGY = Struct({"depth": INT, "excludedIPs": LIST, "ipv6Subnet": INT}, empty=True)
_SOURCE_IP = Struct({"depth": INT, "excludedIPs": LIST, "ipv6Subnet": INT})
_SOURCE = Struct({"ipStrategy": _SOURCE_IP, "requestHeaderName": TEXT, "requestHost": BOOL})
_CLIENT_TLS = Struct({"ca": TEXT, "cert": TEXT, "key": TEXT, "insecureSkipVerify": BOOL, "caOptional": BOOL})
_REDIS = Struct(
    {
        **dict.fromkeys(("readTimeout", "writeTimeout", "dialTimeout"), DURATION),
        **dict.fromkeys(("db", "poolSize", "minIdleConns", "maxActiveConns"), INT),
        **{"endpoints": LIST, "tls": _CLIENT_TLS, "username": TEXT, "password": TEXT},
    }
)
_ENCODED = _all(
    BOOL,
    "allowEncodedSlash allowEncodedBackSlash allowEncodedNullCharacter allowEncodedSemicolon allowEncodedPercent "
    "allowEncodedQuestionMark allowEncodedHash",
)
_HEADERS = Struct(
    {
        **dict.fromkeys(("customRequestHeaders", "customResponseHeaders", "sslProxyHeaders"), _TEXTS),
        **_all(
            BOOL,
            "accessControlAllowCredentials addVaryHeader stsIncludeSubdomains stsPreload forceSTSHeader frameDeny "
            "contentTypeNosniff browserXssFilter isDevelopment sslRedirect sslTemporaryRedirect sslForceHost",
        ).fields,
        **_all(
            LIST,
            "accessControlAllowHeaders accessControlAllowMethods accessControlAllowOriginList "
            "accessControlAllowOriginListRegex accessControlExposeHeaders allowedHosts hostsProxyHeaders",
        ).fields,
        **_all(
            TEXT,
            "customFrameOptionsValue customBrowserXSSValue contentSecurityPolicy contentSecurityPolicyReportOnly "
            "publicKey referrerPolicy permissionsPolicy featurePolicy sslHost",
        ).fields,
        **{"accessControlMaxAge": INT, "stsSeconds": INT},
    }
)
_BASIC_AUTH = {"users": LIST, "usersFile": TEXT, "realm": TEXT, "removeHeader": BOOL, "headerField": TEXT}
_FORWARD_AUTH = Struct(
    {
        **_all(TEXT, "address authResponseHeadersRegex headerField authSigninURL").fields,
        **_all(LIST, "authResponseHeaders authRequestHeaders addAuthCookiesToResponse").fields,
        **_all(BOOL, "trustForwardHeader forwardBody preserveLocationHeader preserveRequestMethod").fields,
        **{"tls": _CLIENT_TLS, "maxBodySize": INT, "maxResponseBodySize": INT},
    }
)
_NAMES = "country province locality organization commonName serialNumber domainComponent"
_CLIENT_CERT = Struct(
    {
        **_all(BOOL, "notAfter notBefore sans serialNumber").fields,
        **{"subject": _all(BOOL, _NAMES + " organizationalUnit"), "issuer": _all(BOOL, _NAMES)},
    }
)
_LIMITED_BODY = _all(INT, "maxRequestBodyBytes memRequestBodyBytes maxResponseBodyBytes memResponseBodyBytes").fields
_RETRY = Struct(
    {
        **{"attempts": INT, "maxRequestBodyBytes": INT, "status": LIST},
        **_all(DURATION, "timeout initialInterval").fields,
        **_all(BOOL, "disableRetryOnNetworkError retryNonIdempotentMethod").fields,
    }
)
_ERRORS = Struct(
    {"status": LIST, "statusRewrites": Map(INT), "service": TEXT, "query": TEXT, "errorRequestHeaders": LIST}
)
_BREAKER = Struct(
    {
        **{"expression": TEXT, "responseCode": INT},
        **_all(DURATION, "checkPeriod fallbackDuration recoveryDuration").fields,
    }
)
_COMPRESS = Struct(
    {
        **_all(LIST, "excludedContentTypes includedContentTypes encodings").fields,
        **{"minResponseBodyBytes": INT, "defaultEncoding": TEXT},
    },
    empty=True,
)
_RATE = Struct({"average": INT, "period": DURATION, "burst": INT, "sourceCriterion": _SOURCE, "redis": _REDIS})
_MIDDLEWARE = Struct(
    {
        "addPrefix": _all(TEXT, "prefix"),
        "stripPrefix": Struct({"prefixes": LIST, "forceSlash": BOOL}),
        "stripPrefixRegex": _all(LIST, "regex"),
        "replacePath": _all(TEXT, "path"),
        "replacePathRegex": _all(TEXT, "regex replacement"),
        "chain": _all(LIST, "middlewares"),
        "ipWhiteList": Struct({"sourceRange": LIST, "ipStrategy": _IP_STRATEGY}),
        "ipAllowList": Struct({"sourceRange": LIST, "ipStrategy": _IP_STRATEGY, "rejectStatusCode": INT}),
        "headers": _HEADERS,
        "encodedCharacters": _ENCODED,
        "errors": _ERRORS,
        "rateLimit": _RATE,
        "redirectRegex": Struct({"regex": TEXT, "replacement": TEXT, "permanent": BOOL}),
        "redirectScheme": Struct({"scheme": TEXT, "port": TEXT, "permanent": BOOL}),
        "basicAuth": Struct(dict(_BASIC_AUTH)),
        "digestAuth": Struct(dict(_BASIC_AUTH)),
        "forwardAuth": _FORWARD_AUTH,
        "inFlightReq": Struct({"amount": INT, "sourceCriterion": _SOURCE}),
        "buffering": Struct({**_LIMITED_BODY, "retryExpression": TEXT}),
        "circuitBreaker": _BREAKER,
        "compress": _COMPRESS,
        "passTLSClientCert": Struct({"pem": BOOL, "info": _CLIENT_CERT}),
        "retry": _RETRY,
        "contentType": Struct({"autoDetect": BOOL}, empty=True),
        "grpcWeb": _all(LIST, "allowOrigins"),
        "plugin": FREE,
    }
)
_ROUTER = Struct(
    {
        **_all(TEXT, "rule service ruleSyntax").fields,
        **_all(LIST, "entryPoints middlewares").fields,
        **{"priority": INT, "observability": _OBSERVABILITY},
        "tls": Struct({"options": TEXT, "certResolver": TEXT, "domains": Items(_DOMAIN)}, empty=True),
    }
)
_COOKIE = Struct(
    {
        **_all(TEXT, "name sameSite path domain").fields,
        **{"secure": BOOL, "httpOnly": BOOL, "maxAge": INT},
    },
    empty=True,
)
_HEALTH = Struct(
    {
        **_all(TEXT, "scheme mode path method hostname").fields,
        **_all(DURATION, "interval unhealthyInterval timeout").fields,
        **{"status": INT, "port": INT, "followRedirects": BOOL, "headers": _TEXTS},
    }
)
_BALANCER = Struct(
    {
        "sticky": Struct({"cookie": _COOKIE}, empty=True),
        "server": Struct({**_all(TEXT, "url scheme port").fields, "weight": INT, "preservePath": BOOL}),
        "strategy": TEXT,
        "healthCheck": _HEALTH,
        "passiveHealthCheck": Struct({"failureWindow": DURATION, "maxFailedAttempts": INT}),
        "passHostHeader": BOOL,
        "responseForwarding": Struct({"flushInterval": DURATION}),
        "serversTransport": TEXT,
    }
)
_TCP_HEALTH = Struct(
    {
        **_all(DURATION, "interval unhealthyInterval timeout").fields,
        **{"port": INT, "send": TEXT, "expect": TEXT},
    },
    empty=True,
)
_TCP_BALANCER = Struct(
    {
        "server": Struct({"port": TEXT, "tls": BOOL}),
        "serversTransport": TEXT,
        "proxyProtocol": Struct({"version": INT}, empty=True),
        "terminationDelay": INT,
        "healthCheck": _TCP_HEALTH,
    }
)
_TCP_ROUTER = Struct(
    {
        **_all(TEXT, "rule service ruleSyntax").fields,
        **_all(LIST, "entryPoints middlewares").fields,
        "priority": INT,
        "tls": Struct(
            {"passthrough": BOOL, "options": TEXT, "certResolver": TEXT, "domains": Items(_DOMAIN)}, empty=True
        ),
    }
)
_TCP_MIDDLEWARE = Struct(
    {
        "inFlightConn": _all(INT, "amount"),
        "ipWhiteList": _all(LIST, "sourceRange"),
        "ipAllowList": _all(LIST, "sourceRange"),
    }
)
_UDP_BALANCER = Struct({"server": _all(TEXT, "port")})
_STORE = Struct({"defaultGeneratedCert": Struct({"resolver": TEXT, "domain": _DOMAIN})})

ROOT = Struct(
    {
        "http": Struct(
            {
                "routers": Map(_ROUTER),
                "services": Map(Struct({"loadBalancer": _BALANCER, "middlewares": LIST})),
                "middlewares": Map(_MIDDLEWARE),
            }
        ),
        "tcp": Struct(
            {
                "routers": Map(_TCP_ROUTER),
                "services": Map(Struct({"loadBalancer": _TCP_BALANCER})),
                "middlewares": Map(_TCP_MIDDLEWARE),
            }
        ),
        "udp": Struct(
            {
                "routers": Map(Struct({"entryPoints": LIST, "service": TEXT})),
                "services": Map(Struct({"loadBalancer": _UDP_BALANCER})),
            }
        ),
        "tls": Struct(
            {
                "stores": Struct(
                    {"default": Struct({"defaultGeneratedCert": Struct({"resolver": TEXT, "domain": _DOMAIN})})}
                )
            }
        ),
    }
)
