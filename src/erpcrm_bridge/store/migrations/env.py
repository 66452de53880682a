"""Alembic's entry: runs the migrations on the connection that ``store.migrate`` hands over, inside its transaction."""

from alembic import context

from erpcrm_bridge.store.migrate import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
