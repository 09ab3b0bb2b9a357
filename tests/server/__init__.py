"""The contract of SQL on every engine: the embedded one, and servers and a cluster where Docker runs."""
