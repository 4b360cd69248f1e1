from parceldesk.web import create_app

app = create_app()
