"""What Alembic runs: the engine comes from `bridge.store.database.connect`, never from a file."""

from alembic import context

from bridge.store.schema import metadata

with context.config.attributes["engine"].connect() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
