"""Between the instances of a program and the real broker, database, services: see `gateway.py`."""

from sandbox.gateway.calls import CallFaultBuilder
from sandbox.gateway.faults import AnswerFaultBuilder, Fault, FaultBuilder
from sandbox.gateway.gateway import DATABASE_PORT, KAFKA_PORT, Gateway
from sandbox.gateway.limits import Limits
from sandbox.gateway.link import BrokerUnreachable
from sandbox.gateway.outside import HttpRequest, HttpResponse, HttpService
from sandbox.gateway.policy import CLIENT_APIS, Policy

__all__ = [
    "CLIENT_APIS",
    "DATABASE_PORT",
    "KAFKA_PORT",
    "AnswerFaultBuilder",
    "BrokerUnreachable",
    "CallFaultBuilder",
    "Fault",
    "FaultBuilder",
    "Gateway",
    "HttpRequest",
    "HttpResponse",
    "HttpService",
    "Limits",
    "Policy",
]
