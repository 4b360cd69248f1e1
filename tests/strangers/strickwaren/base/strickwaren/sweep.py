"""python -m strickwaren.sweep; the crontab has it every 15 minutes."""
from strickwaren.returns import resend_lost

if __name__ == "__main__":
    resend_lost()
