"""The review page: a case at hand, its pictures, and a small server on loopback."""
