"""The worker process: every projection and policy, what time brings about, and the search index behind them."""
