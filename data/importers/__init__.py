"""Data on its way in: files of trades and bars, previewed before anything is written, then read in bounded memory.

files -> layout -> readers -> checked rows -> days (Parquet) and bars (SQLite)
"""
