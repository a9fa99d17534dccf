"""How a delivery leaves.

exchange      one call of a worker: settle a delivery, then lease the next
leasing       lease lanes, as many as breaker and rates permit, and read their heads
candidates    which lanes are leased next
settle        what became of a delivery, its lane and its destination
lanes         the rows of lanes: named, made, locked, woken, released
destinations  the rows of destinations: breaker, rates, pause
newest        the newest state of a record, from which a late delivery is made
watermark     spools that are being drained, which later deliveries wait for
owners        the processes that lease lanes, and which of them are dead
nouns         the request for a lane, the leased delivery, its settlement, the answer
"""
