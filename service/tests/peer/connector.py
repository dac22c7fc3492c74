"""A small connector on the existing Python framework, unmodified, for the test of the service.

Its data source is a dict; the state that it names comes from the command line, so that the
test decides whether there is something new.
"""

import sys
import uuid

from car_framework.app import BaseApp
from car_framework.context import context
from car_framework.data_handler import BaseDataHandler
from car_framework.extension import SchemaExtension
from car_framework.full_import import BaseFullImport
from car_framework.inc_import import BaseIncrementalImport

STATE = {
    "1": {"assets": {"a1": "Asset 1", "a2": "Asset 2", "a&b=c": "odd", "x y": "blank"}, "hosts": {"a1": "h1.example"}},
    "2": {"assets": {"a1": "Asset 1, renamed", "x y": "blank", "a3": "Asset 3"}, "hosts": {"a1": "h2.example"}},
}


class Handler(BaseDataHandler):
    def create_source_report_object(self):
        if not self.report:
            self.source = {"_key": context().args.CONNECTION_NAME, "name": "peer", "description": "a peer"}
            self.report = {"_key": str(uuid.uuid4()), "timestamp": self.timestamp, "type": "peer", "description": "a run"}
        return {"source": self.source, "report": self.report}

    def take(self, names, state):
        self.create_source_report_object()
        for name in names:
            assert self.add_collection("asset", {"external_id": name, "name": state["assets"][name], "initial_value": 1}, "external_id")
        for asset, host in state["hosts"].items():
            assert self.add_collection("hostname", {"_key": host}, "_key")
            self.add_edge("asset_hostname", {"_from_external_id": asset, "_to": "hostname/" + host})


class Full(BaseFullImport):
    def create_source_report_object(self):
        self.handler = getattr(self, "handler", None) or Handler()
        return self.handler.create_source_report_object()

    def get_new_model_state_id(self):
        return context().args.state

    def import_vertices(self):
        state = STATE[context().args.state]
        self.handler.take(state["assets"], state)
        self.handler.send_collections(self)

    def import_edges(self):
        self.handler.send_edges(self)


class Incremental(BaseIncrementalImport):
    def create_source_report_object(self):
        return self.handler.create_source_report_object()

    def get_new_model_state_id(self):
        return context().args.state

    def get_data_for_delta(self, last, new):
        self.old, self.new = STATE[last], STATE[new]
        self.handler = Handler()
        changed = [key for key, name in self.new["assets"].items() if self.old["assets"].get(key) != name]
        self.handler.take(changed, self.new)

    def import_vertices(self):
        self.handler.send_collections(self)

    def import_edges(self):
        self.handler.send_edges(self)

    def delete_vertices(self):
        gone = [key for key in self.old["assets"] if key not in self.new["assets"]]
        # This framework pastes ids into the address as they are.
        import urllib.parse
        context().car_service.delete("asset", [urllib.parse.quote(key, safe="") for key in gone])
        hosts = set(self.old["hosts"].values()) - set(self.new["hosts"].values())
        context().car_service.delete("hostname", sorted(hosts))


class App(BaseApp):
    def __init__(self):
        super().__init__("peer")
        self.parser.add_argument("-state", dest="state")

    def setup(self):
        super().setup()
        context().full_importer = Full()
        context().inc_importer = Incremental()

    def get_schema_extension(self):
        schema = '{"vertices": [{"name": "asset", "properties": {"initial_value": {"type": "numeric"}}}]}'
        return SchemaExtension("2b9c6f0e-3c1d-4a53-9a53-1f9f3f3b7d11", "peer", "1", schema)


app = App()
app.setup()
app.run()
sys.exit(0)
