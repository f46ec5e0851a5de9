"""The door to the network: what goes in is a ``Wire``, what comes out is a Reply or a Failure, plain values.

No exception of the HTTP library passes, since those hold the request and with it the credentials.

Three facts shape this room (httpx 0.28, httpcore 1.0):

- httpcore's pool gets slower with the square of its connections, and costs more than what is under it, so the client built here has
  one connection per slot, and h11 over it.
- A pool loses a slot for good when a call is cancelled at the wrong moment, so a slot whose request was cancelled is thrown away.
- The HTTP library logs whole addresses, so records about our requests are masked before they reach a handler.

``door`` imports the HTTP library, by name and at first use, and is itself loaded then; the others are given what they need of it.
"""
