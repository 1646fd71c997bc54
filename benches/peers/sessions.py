"""Watches sessions as a good script would: with the vendor's SDK, asyncio, and a table from rich. `measure`
compares keepwatch with it.

pip install browserbase rich; BROWSERBASE_API_KEY=... python3 benches/peers/sessions.py
"""

import asyncio
import datetime

import browserbase
import rich.live
import rich.table


def table(sessions):
    result = rich.table.Table("ID", "STATUS", "REGION", "LEFT", "PROXY")
    now = datetime.datetime.now(datetime.timezone.utc)
    for session in sessions[:34]:  # the rows that fit a terminal of 40 rows
        left = (session.expires_at - now).total_seconds()
        result.add_row(session.id, session.status, session.region, f"{left:.0f} s", str(session.proxy_bytes))
    return result


async def main():
    client = browserbase.AsyncBrowserbase()
    with rich.live.Live(table([]), screen=True, auto_refresh=False) as live:
        while True:
            sessions = await client.sessions.list(status="RUNNING")
            for _ in range(2):  # a list every two seconds, a frame every second
                live.update(table(sessions), refresh=True)
                await asyncio.sleep(1)


asyncio.run(main())
