from sqlalchemy import BigInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class LedgerEntry(Base):
    __tablename__ = "ledger"
    entry: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    event_id: Mapped[str]
    account: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)


class Balance(Base):
    __tablename__ = "balances"
    account: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger)


class ProcessedEvent(Base):
    __tablename__ = "processed_events"
    event_id: Mapped[str] = mapped_column(primary_key=True)
