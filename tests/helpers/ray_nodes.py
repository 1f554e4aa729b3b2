"""A Ray cluster on this machine as a process of its own: a head without cores, and nodes with one core each.

Prints the cluster's address; each line `kill` on standard input kills a node, each `add` adds one; ends with its input.
"""

import sys

from ray.cluster_utils import Cluster

STORE = 80 * 2**20


def main(nodes: int) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    there = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(nodes)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(there.pop(), allow_graceful=False)
        else:
            there.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
