"""What came of an ablation: its table beside the paper's numbers, its claims tested, its plots and its page."""
