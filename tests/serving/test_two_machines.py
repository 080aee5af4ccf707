"""Two workspace folders with one PostgreSQL: each serves its own endpoints, and takes none of the other's down."""

import pytest
from sqlalchemy import select

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import EndpointExistsError
from dwcp_jupyter.store import schema
from dwcp_jupyter.supervisor.endpoint_table import EndpointTable
from dwcp_jupyter.workspace import Workspace


@pytest.fixture
def machines(postgresql, tmp_path):
    with postgresql.schema() as url:
        settings = config.load(metadata_url=url, artifact_url=str(tmp_path / "artifacts"))
        opened = [store.open(tmp_path / name / ".dwcp", settings=settings) for name in ("here", "there")]
        both = [Workspace(one) for one in opened]
        yield both
        for ws in both:
            ws.stop()
            ws.close()


def test_each_machine_serves_what_was_deployed_from_it(machines, classifier, iris):
    here, there = machines
    row = iris[0].head(1)
    here.register("iris", classifier, data=iris[0])
    here.deploy("iris", name="mine")
    there.deploy("iris", name="yours")
    assert here.predict("mine", row).predictions == there.predict("yours", row).predictions
    assert [e.name for e in EndpointTable(here.stores.metadata).read()] == ["mine"]
    assert [e.name for e in EndpointTable(there.stores.metadata).read()] == ["yours"]
    assert {endpoint.name for endpoint in here.serving.list_endpoints()} == {"mine", "yours"}
    with pytest.raises(EndpointExistsError, match=r"'yours' is served from '.*there/\.dwcp'"):
        here.deploy("iris", name="yours")
    there.stop()
    assert here.predict("mine", row).predictions
    assert [e.name for e in EndpointTable(here.stores.metadata).read()] == ["mine"]


def test_an_endpoint_that_the_supervisor_removes_needs_its_files_no_longer(machines, classifier, iris):
    here, _ = machines
    here.register("iris", classifier, data=iris[0])
    here.deploy("iris")
    table, owner = EndpointTable(here.stores.metadata), schema.artifact_references.c.owner
    query = select(owner).where(owner.startswith("endpoint:"))
    with here.stores.metadata.read() as connection:
        assert connection.execute(query).all()
    table.remove(table.read(), reason="its owner is gone")
    with here.stores.metadata.read() as connection:
        assert connection.execute(query).all() == []
    assert here.verify() is True


def test_a_folder_keeps_its_name(machines):
    here, there = machines
    assert here.stores.metadata.place != there.stores.metadata.place
    assert store.open(here.stores.root).metadata.place == here.stores.metadata.place
    assert sorted(path.name for path in here.stores.root.glob("*place*")) == ["place"]
