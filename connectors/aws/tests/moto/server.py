"""The AWS that answers: moto on a free port, with what the tests need beyond it.

moto answers the real protocols from memory. Where it leaves out what AWS does, this adds it:
CloudTrail's LookupEvents, filters of Security Hub, distinct resource ids of databases, ids and
names of Beanstalk environments, all containers of a task. It also keeps a log of the calls that
the SDK for Rust makes, and answers chosen calls with an error.

Prints `{"port": N}` and runs until its standard input ends.
"""

import json
import re
import sys
import threading
import time
import uuid

import boto3
from botocore.config import Config
from moto.ecs import models as ecs
from moto.elasticbeanstalk import models as beanstalk
from moto.iam.models import get_account_id_from
from moto.moto_api import state_manager
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.rds import models as rds
from moto.securityhub import models as securityhub
from werkzeug.serving import make_server

# Operations of the services that name none in the request.
REST = [
    ("securityhub", "POST", "/findings", "GetFindings"),
    ("inspector2", "POST", "/findings/list", "ListFindings"),
    ("lambda", "GET", "/2015-03-31/functions/?", "ListFunctions"),
    ("eks", "GET", "/clusters", "ListClusters"),
    ("eks", "GET", "/clusters/[^/]+", "DescribeCluster"),
    ("eks", "GET", "/clusters/[^/]+/node-groups", "ListNodegroups"),
    ("eks", "GET", "/clusters/[^/]+/node-groups/[^/]+", "DescribeNodegroup"),
]
JSON_SERVICES = {"ecs", "cloudtrail", "organizations"}
REST_SERVICES = {"securityhub", "inspector2", "eks", "lambda"}


def after_init(cls, then):
    """Has `then(instance, *args)` run at the end of the class's constructor."""
    before = cls.__init__

    def init(self, *args, **kwargs):
        before(self, *args, **kwargs)
        then(self, *args, **kwargs)

    cls.__init__ = init


def patch_databases():
    def name(instance, *_, **__):
        instance.dbi_resource_id = "db-" + uuid.uuid4().hex[:26].upper()

    after_init(rds.DBInstance, name)


def patch_environments():
    def name(environment, *_, **__):
        environment.environment_id = "e-" + uuid.uuid4().hex[:10]
        environment.cname = f"{environment.environment_name}.example.elasticbeanstalk.com"

    after_init(beanstalk.Environment, name)


def patch_tasks():
    def all_containers(task, *args, **named):
        definition = named["task_definition"] if "task_definition" in named else args[1]
        task.containers = []
        for number, described in enumerate(definition.container_definitions):
            container = ecs.Container(definition)
            container.container_arn = f"{task.task_arn}/{number}".replace(":task/", ":container/")
            container.task_arn = task.task_arn
            container.name = described.get("name")
            container.image = described.get("image")
            container.last_status = "RUNNING"
            task.containers.append(container)

    after_init(ecs.Task, all_containers)
    # Otherwise each look at a task moves it on to its end.
    state_manager.set_transition("ecs::task", {"progression": "time", "seconds": 1_000_000})


def patch_findings():
    paths = {
        "RecordState": ("RecordState",),
        "WorkflowStatus": ("Workflow", "Status"),
        "AwsAccountId": ("AwsAccountId",),
        "Region": ("Region",),
        "UpdatedAt": ("UpdatedAt",),
    }

    def passes(finding, filters):
        for name, rules in (filters or {}).items():
            if name == "ResourceId":
                ids = {resource["Id"] for resource in finding["Resources"]}
                if not ids & {rule["Value"] for rule in rules}:
                    return False
                continue
            value = finding
            for step in paths[name]:
                value = (value or {}).get(step)
            if name == "UpdatedAt":
                fits = any(rule["Start"] <= value <= rule["End"] for rule in rules)
            else:
                fits = any(rule["Value"] == value for rule in rules)
            if not fits:
                return False
        return True

    before = securityhub.SecurityHubBackend.get_findings
    lock = threading.Lock()

    def get_findings(self, filters=None, sort_criteria=None, max_results=None, **kwargs):
        # moto pages over what it holds, so it holds only what passes for the time of the call.
        with lock:
            kept = self.findings
            try:
                self.findings = [one for one in kept if passes(one.as_dict(), filters)]
                return before(self, filters=filters, max_results=max_results, **kwargs)
            finally:
                self.findings = kept

    securityhub.SecurityHubBackend.get_findings = get_findings


class Front:
    """Stands before moto: control, call log, errors on demand, CloudTrail."""

    def __init__(self, moto):
        self.moto = moto
        self.lock = threading.Lock()
        self.calls = []
        self.faults = []
        self.events = []
        self.inspector = []
        self.clients = {}
        self.port = None

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        path = environ["PATH_INFO"]
        if path.startswith("/_test/"):
            return self.control(path[7:], body, start_response)
        call = self.named(environ, body)
        if call and "aws-sdk-rust" in environ.get("HTTP_USER_AGENT", ""):
            with self.lock:
                self.calls.append(call)
                fault = self.fault_for(call)
            if fault:
                return self.fail(call, fault, start_response)
        if call and (call["service"], call["action"]) == ("inspector2", "ListFindings"):
            return self.inspected(call, json.loads(body), start_response)
        if call and call["action"] == "LookupEvents":
            return self.lookup(call, json.loads(body), start_response)
        environ["wsgi.input"] = Body(body)
        return self.moto(environ, start_response)

    def named(self, environ, body):
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if "Credential=" not in authorization:
            return None
        scope = authorization.split("Credential=")[1].split(",")[0].split("/")
        key, region, service = scope[0], scope[2], scope[3]
        target = environ.get("HTTP_X_AMZ_TARGET")
        if target:
            action = target.rsplit(".", 1)[1]
        elif body.startswith(b"Action="):
            action = body.split(b"&")[0][7:].decode()
        else:
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            fits = (
                action
                for known, verb, pattern, action in REST
                if (known, verb) == (service, method) and re.fullmatch(pattern, path)
            )
            action = next(fits, f"{method} {path}")
        account = environ.get("HTTP_X_MOTO_ACCOUNT_ID") or get_account_id_from(key)
        return {"service": service, "action": action, "region": region, "account": account}

    def fault_for(self, call):
        for fault in self.faults:
            wanted = fault.get("match", {})
            if any(call[name] != value for name, value in wanted.items()):
                continue
            if fault.get("skip", 0) > 0:
                fault["skip"] -= 1
                continue
            if fault["times"] == 0:
                continue
            fault["times"] -= 1
            return fault
        return None

    def fail(self, call, fault, start_response):
        code, message = fault.get("code", ""), fault.get("message", "made up by the test")
        status, service = fault["status"], call["service"]
        headers = [("Content-Type", "text/xml")]
        if "body" in fault:
            answer = fault["body"]
        elif service == "ec2":
            answer = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>"
                "</Error></Errors><RequestID>r</RequestID></Response>"
            )
        elif service in JSON_SERVICES | REST_SERVICES:
            headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)]
            answer = json.dumps({"__type": code, "message": message, "Message": message})
        else:
            answer = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
                f"<Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            )
        start_response(f"{status} made up", headers)
        return [answer.encode()]

    def lookup(self, call, asked, start_response):
        wanted = {one["AttributeKey"]: one["AttributeValue"] for one in asked.get("LookupAttributes", [])}
        with self.lock:
            found = [
                event
                for event in self.events
                if event["account"] == call["account"]
                and event["region"] == call["region"]
                and asked.get("StartTime", 0) <= event["time"] <= asked.get("EndTime", 1e12)
                and wanted.get("EventSource", event["source"]) == event["source"]
            ]
        found.sort(key=lambda event: -event["time"])
        start = int(asked.get("NextToken", 0))
        size = min(asked.get("MaxResults", 50), 50)
        page = found[start : start + size]
        answer = {
            "Events": [
                {
                    "EventId": event["id"],
                    "EventName": event["name"],
                    "EventSource": event["source"],
                    "EventTime": event["time"],
                    "Resources": event.get("resources", []),
                    "CloudTrailEvent": event["body"],
                }
                for event in page
            ]
        }
        if start + size < len(found):
            answer["NextToken"] = str(start + size)
        return self.json(answer, start_response, "application/x-amz-json-1.1")

    def inspected(self, call, asked, start_response):
        criteria = asked.get("filterCriteria", {})

        def passes(finding):
            ids = {resource["id"] for resource in finding["resources"]}
            wanted = {
                "findingStatus": {finding["status"]},
                "awsAccountId": {finding["awsAccountId"]},
                "resourceId": ids,
            }
            for name, values in wanted.items():
                rules = criteria.get(name)
                if rules is not None and not values & {rule["value"] for rule in rules}:
                    return False
            ranges = criteria.get("updatedAt")
            updated = finding.get("updatedAt", 0)
            return not ranges or any(
                one["startInclusive"] <= updated <= one["endInclusive"] for one in ranges
            )

        with self.lock:
            found = [
                one["finding"]
                for one in self.inspector
                if (one["account"], one["region"]) == (call["account"], call["region"])
            ]
        return self.json({"findings": [one for one in found if passes(one)]}, start_response)

    def control(self, what, body, start_response):
        asked = json.loads(body or b"null")
        with self.lock:
            if what == "calls":
                answer, self.calls = self.calls, []
                return self.json(answer, start_response)
            if what == "faults":
                self.faults = asked
                return self.json(None, start_response)
            if what == "inspector":
                self.inspector = asked
                return self.json(None, start_response)
            if what == "events":
                for event in asked:
                    event.setdefault("id", str(uuid.uuid4()))
                    event["time"] = time.time() - event["ago"]
                    if not isinstance(event["body"], str):
                        event["body"] = json.dumps(event["body"])
                self.events.extend(asked)
                return self.json(None, start_response)
        if what == "do":
            return self.json([self.do(step) for step in asked], start_response)
        start_response("404 Not Found", [])
        return [b"no such control"]

    def do(self, step):
        """Makes a call to moto as somebody in an account and a region."""
        where = (step["service"], step.get("region", "us-east-1"), step.get("account", "123456789012"))
        if where not in self.clients:
            client = boto3.client(
                where[0],
                region_name=where[1],
                endpoint_url=f"http://127.0.0.1:{self.port}",
                aws_access_key_id="maker",
                aws_secret_access_key="maker",
                config=Config(retries={"max_attempts": 1}, max_pool_connections=1),
            )
            account = where[2]

            def as_account(request, **_):
                request.headers["x-moto-account-id"] = account

            client.meta.events.register("before-sign", as_account)
            self.clients[where] = client
        answer = getattr(self.clients[where], step["call"])(**step.get("args", {}))
        answer.pop("ResponseMetadata", None)
        return answer

    @staticmethod
    def json(answer, start_response, kind="application/json"):
        start_response("200 OK", [("Content-Type", kind)])
        return [json.dumps(answer, default=str).encode()]


class Body:
    """A request body that was read already."""

    def __init__(self, data):
        self.data = data

    def read(self, size=-1):
        end = len(self.data) if size is None or size < 0 else size
        part, self.data = self.data[:end], self.data[end:]
        return part

    def readline(self, size=-1):
        line, _, _ = self.data.partition(b"\n")
        return self.read(len(line) + 1)


class Handler(MotoRequestHandler):
    def log(self, *_args, **_kwargs):
        """Says nothing: the test shows what went wrong."""


def main():
    patch_databases()
    patch_environments()
    patch_tasks()
    patch_findings()
    front = Front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Handler)
    front.port = server.server_port
    print(json.dumps({"port": server.server_port}), flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
