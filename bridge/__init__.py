"""The Jira-to-Aha! webhook bridge.

Seven floors; imports go downward only, and neighbours on one floor do not know each other:

    words    model, errors             the nouns, and errors that say what to do
    core     core.*                    pure decisions: no I/O, clock, random or log
    edges    sources, destinations,    the world outside: senders, receivers,
             store                     the database
    files    config                    the files people edit, with the words that sources and
                                       destinations offer; settings
    verbs    intake, worker, desk      accept an event; deliver; look and mend
    wiring   app, processes            settings in, a running bridge out; kept running
    doors    web, cli, demo, sandbox   where people and machines come in

The path of one event: `web.hooks` -> `intake.accept` -> `sources.<kind>.read` ->
`core.plan` -> `store.inbox.accept` (read, `core.dedup`, write) -> 200, and then `worker` ->
`store.queue` -> `core.mapping` -> `destinations.<kind>`.
"""
