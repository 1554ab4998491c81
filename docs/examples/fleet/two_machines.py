"""Start, list and stop an agent on a cluster."""

import tempfile

from distributed import Client, LocalCluster

from proctree_kill.fleet import Fleet

AGENT = ["sleep", "1000"]

if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        fleet = Fleet(client, folder)
        fleet.spawn_agent("research-1", AGENT)
        for session in fleet.sessions().values():
            print(session.session_id, session.state)
        print(fleet.stop_agent("research-1").summary())
