"""Several processes that serve together.

The first process is the one that was started. It reads the Corefile, follows the API server, has the side ports and
answers queries; alone, it is the whole server. Others are its workers: forks of it, each with sockets of its own at the
same ports, so that the kernel spreads clients over all of them.

- A fork has all that the first process knows of the cluster, in memory that both share until one of them changes it.
  From then on the first tells it of each change. Where that would be much (a new Corefile, a whole list of objects), it
  tells workers to leave, and forks others.
- All sockets belong to the first process, which reads those of a worker while there is none. So nothing is lost while
  one is replaced, and nobody else notices that one died.
- What is counted is taken from the workers when metrics are read. Health and readiness are told by the first process
  for all. A worker ends when the first one tells it to, or when that one is gone.
"""
