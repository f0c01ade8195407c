"""One question each: train what is needed, measure, return tables and figures."""
